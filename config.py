"""Every setting of both processes, by the names of the documents. Read from the environment and from `.env`.

Only the composition roots (`app.py`, `__main__.py`), the command line and the tests import this module; everything
else is handed the values that it needs.
"""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.secrets import load_or_create_secret

_BACKENDS = {"auto", "local", "llamacpp", "mlx", "ollama", "openai", "openrouter", "anthropic", "google"}
_DATABASE_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
}


def _is_database_url(value: str) -> bool:
    scheme, separator, _ = value.partition("://")
    try:
        _ = urlsplit(value).port  # raises for one that is no number
    except ValueError:
        return False
    return bool(separator) and scheme in _DATABASE_DRIVERS


def _checked_http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write a URL that begins with http:// or https://")
    return value.rstrip("/")


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
HttpUrl = Annotated[str, AfterValidator(_checked_http_url)]
LogLevel = Literal["debug", "info", "warning", "error"]

_ROOT = Path(__file__).resolve().parent


class Settings(BaseSettings):
    """The settings; a field's name in upper case is the variable, its description the comment in `.env.example`."""

    model_config = SettingsConfigDict(env_file=_ROOT / ".env", extra="ignore", frozen=True, env_ignore_empty=True)

    # Where things are
    data_dir: Path = Field(
        Path("data"), validate_default=True, description="Everything written at run time lives below this folder"
    )
    host: str = Field("127.0.0.1", description="Address that both servers listen on; 0.0.0.0 for all interfaces")
    main_api_port: Port = Field(10007, description="Port of the main API")
    tools_port: Port = Field(10006, description="Port of the tools API")
    tools_host: str = Field("127.0.0.1", description="Where the main API finds the tools API: a host name or a URL")
    database_url: str | None = Field(None, description="PostgreSQL URL; empty: SQLite in DATA_DIR")
    redis_url: str | None = Field(None, description="Redis URL for limits shared by several replicas; empty: memory")
    log_level: LogLevel = Field("info", description="debug, info, warning or error")
    shutdown_grace_s: Seconds = Field(25, description="Seconds that open streams get to finish on shutdown")
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Comma-separated origins that browsers may call from; * allows any, without credentials",
    )
    max_body_bytes: int = Field(20_971_520, ge=1024, description="Largest request body that is read, in bytes")

    # Accounts
    jwt_secret_key: SecretStr | None = Field(
        None, description="At least 32 characters; empty: made on first start and kept in DATA_DIR/secrets"
    )
    jwt_expiration_hours: Annotated[float, Field(gt=0, le=24 * 365)] = Field(
        168, description="Life of an access token in hours"
    )
    refresh_expiration_days: Annotated[float, Field(gt=0, le=365)] = Field(
        30, description="Life of a refresh token in days"
    )
    rate_limit_enabled: bool = Field(True, description="false switches every rate limit off")
    api_key_requests_per_minute: int = Field(600, ge=1, description="Requests per minute and API key or account")
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        default_factory=list, description="Comma-separated addresses of proxies whose X-Forwarded-For is believed"
    )

    # Models
    llm_backend: Literal[
        "auto", "local", "llamacpp", "mlx", "ollama", "openai", "openrouter", "openai_compatible", "anthropic", "google"
    ] = Field("auto", description="Backend of bare model names and of model: auto")
    default_model: str | None = Field(None, description="Model used for model: auto; empty: the first that works")
    fallback_models: Annotated[list[str], NoDecode] = Field(
        default_factory=list, description="Comma-separated models to try when a backend fails before its first token"
    )
    default_temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Temperature when a request has none; empty: the backend's"
    )
    ollama_base_url: HttpUrl = Field("http://localhost:11434", description="Address of Ollama")
    ollama_model: str | None = Field(None, description="Default model on Ollama")
    ollama_num_ctx: int = Field(8192, ge=256, description="Context window asked of Ollama, in tokens")
    ollama_keep_alive: str = Field("5m", description="How long Ollama keeps a model loaded after a request")
    openai_api_key: SecretStr | None = Field(None, description="Key of OpenAI")
    openai_base_url: HttpUrl = Field("https://api.openai.com/v1", description="Base URL of OpenAI")
    openrouter_api_key: SecretStr | None = Field(None, description="Key of OpenRouter")
    openrouter_base_url: HttpUrl = Field("https://openrouter.ai/api/v1", description="Base URL of OpenRouter")
    openai_compatible_base_url: HttpUrl | None = Field(
        None, description="Base URL of any OpenAI-compatible server (vLLM, llama-server, LM Studio)"
    )
    openai_compatible_api_key: SecretStr | None = Field(None, description="Its key, if it wants one")
    openai_compatible_name: str = Field("compatible", description="Prefix of its models' names")
    anthropic_api_key: SecretStr | None = Field(None, description="Key of Anthropic (through litellm)")
    google_api_key: SecretStr | None = Field(None, description="Key of Google AI (through litellm)")
    llamacpp_engine: Literal["xllamacpp", "llama-server", "llama-cpp-python"] = Field(
        "xllamacpp", description="Engine that runs GGUF files"
    )
    llamacpp_binary: str = Field(
        "llama-server", description="The llama-server binary, for LLAMACPP_ENGINE=llama-server"
    )
    engine_context: int = Field(
        8192, ge=512, description="Context window per slot of a local engine, in tokens (less if the model has less)"
    )
    engine_slots: int = Field(8, ge=1, le=64, description="Requests that a local engine batches together")
    engine_max_loaded: int = Field(2, ge=1, le=64, description="Local engines in memory at once; idle ones make room")
    engine_threads: int | None = Field(
        None, ge=1, description="Threads of a local engine; empty: most cores, and one for the bundled model"
    )
    engine_idle_unload_s: Seconds = Field(
        900, description="Seconds without a request after which a local engine is unloaded"
    )
    engine_start_timeout_s: Seconds = Field(120, description="Seconds that a local engine may take to load a model")
    huggingface_endpoint: HttpUrl = Field(
        "https://huggingface.co", description="Where `twinport models pull` looks for names"
    )
    model_timeout_s: Seconds = Field(
        300, description="Longest silence of a model before a call is given up, in seconds"
    )

    # Agents and sessions
    react_max_iterations: int = Field(10, ge=1, le=100, description="Steps that the ReAct agent may take")
    react_retry_on_error: bool = Field(True, description="Let the agent try again after a tool failed")
    run_timeout_s: Seconds = Field(600, description="Longest run of an agent, in seconds")
    max_conversation_history: int = Field(20, ge=1, description="Messages of a session that are sent to the model")
    prompts_dir: Path = Field(Path("prompts"), validate_default=True, description="Folder of the prompt files")
    prompt_log_enabled: bool = Field(True, description="Write every prompt and answer to DATA_DIR/logs/prompts.log")

    # Tools
    tools_api_key: SecretStr | None = Field(
        None, description="Key between the two processes; empty: made on first start and kept in DATA_DIR/secrets"
    )
    tools_service_keys: Annotated[dict[ServiceName, SecretStr] | None, NoDecode] = Field(
        None,
        description="Keys of other services for the tools API, as name:key,name:key; at least 32 characters each",
    )
    tools_caller_concurrency: int = Field(64, ge=1, description="Calls of one tool that a service has running at once")
    tools_caller_waiting: int = Field(512, ge=0, description="Calls of one tool that wait for their turn, by workspace")
    default_tool_timeout: Seconds = Field(30, description="Seconds that a tool call may take")
    tools_llm_api_key: SecretStr | None = Field(
        None, description="Key that tools ask models with; empty: made on first start and kept in DATA_DIR/secrets"
    )
    python_executor_mode: Literal["native", "nanocoder"] = Field(
        "native", description="native: python_coder runs code; nanocoder: it takes a task in words, for a coding agent"
    )
    nanocoder_path: Path | None = Field(
        None, description="Folder of `python -m tools_api.nanocoder.install`; empty: DATA_DIR/nanocoder"
    )
    nanocoder_timeout: Annotated[float, Field(gt=0, le=600)] = Field(
        300, description="Seconds that a task may take in nanocoder mode"
    )
    nanocoder_model: str = Field("auto", min_length=1, description="Model that the coding agent asks")
    nanocoder_base_url: HttpUrl | None = Field(
        None, description="Base URL of the model's OpenAI-compatible API; empty: this machine's main API"
    )
    nanocoder_api_key: SecretStr | None = Field(
        None, description="Key for NANOCODER_BASE_URL; the main API on this machine needs none"
    )
    sandbox_levels: Annotated[list[Literal["ns-seccomp", "landlock-seccomp", "wasi", "remote"]], NoDecode] = Field(
        default_factory=lambda: ["ns-seccomp"],
        description="Sandbox levels that may be used, best first: ns-seccomp (Linux namespaces), remote (a runner, "
        "SANDBOX_REMOTE_URL), wasi (everywhere, standard library only), landlock-seccomp (weaker, for a container of "
        "its own); empty with a comma (`,`): none, python_coder is off",
    )
    sandbox_remote_url: HttpUrl | None = Field(
        None, description="Where the runner is that the level `remote` runs code in, as http://host:10008"
    )
    sandbox_remote_key: SecretStr | None = Field(
        None, description="Key between tools API and runner, the same on both sides; at least 32 characters"
    )
    sandbox_remote_key_file: Path | None = Field(None, description="File that holds this key instead")
    runner_port: Port = Field(10008, description="Port of a runner (`python -m tools_api.runner`)")
    sandbox_wall_s: Annotated[float, Field(gt=0, le=600)] | None = Field(
        None, description="Longest sandboxed run that a call may ask for, in seconds; empty: DEFAULT_TOOL_TIMEOUT"
    )
    sandbox_cpu_s: Seconds | None = Field(
        None, description="Processor seconds of one sandboxed run, all its processes together; empty: SANDBOX_WALL_S"
    )
    sandbox_memory_mb: int = Field(
        1024, ge=64, description="Memory of one sandboxed run, in MiB, all its processes together"
    )
    sandbox_processes: int = Field(64, ge=1, le=4096, description="Processes and threads of one sandboxed run at once")
    sandbox_output_kb: int = Field(
        256, ge=1, le=1024, description="What a sandboxed run may print, in KiB, stdout and stderr each"
    )
    sandbox_files: int = Field(32, ge=0, le=1000, description="Files that a sandboxed run may return")
    sandbox_files_mb: int = Field(32, ge=1, le=1024, description="Size of the files that a run may return, in MiB")
    sandbox_workspace_mb: int = Field(128, ge=1, description="Size of a run's workspace, in MiB")
    sandbox_packages: Path = Field(
        Path("sandbox-packages.txt"),
        description="Lists packages for sandboxed code, as requirement lines of pip; the start installs them",
    )
    sandbox_concurrency: int = Field(8, ge=1, description="Sandboxed runs at the same time")
    sandbox_sessions: int = Field(
        8,
        ge=0,
        description="Sessions of python_coder that live on between calls, in all; each may hold SANDBOX_MEMORY_MB and, "
        "without memory control groups, its files on top, but no slot of SANDBOX_CONCURRENCY; 0: none are kept",
    )
    sandbox_sessions_per_workspace: int = Field(
        4, ge=1, description="Sessions of one workspace (or of a service that names none); the least used makes room"
    )
    sandbox_session_idle_s: Seconds = Field(600, description="Seconds after its last call that a session is kept")
    sandbox_warm_workers: int = Field(
        4,
        ge=0,
        le=64,
        description="Sandboxes that wait for python_coder with the interpreter started, a few MiB each; 0: every run "
        "starts its own",
    )
    sandbox_warm_preload: bool = Field(
        True, description="Let them wait with numpy, pandas and matplotlib imported, for about 100 MiB in all"
    )
    workspace_ttl_hours: Annotated[float, Field(gt=0)] = Field(
        24, description="Hours after its last use that a tool workspace is kept"
    )
    scratch_quota_mb: int = Field(4096, ge=1, description="Size of all tool workspaces together, in MiB")
    artifact_quota_mb: int = Field(2048, ge=1, description="Size of all artifacts together, in MiB")
    artifact_ttl_hours: Annotated[float, Field(gt=0)] = Field(168, description="Hours that artifacts are kept")

    # Documents
    rag_embedding_model: str = Field(
        "all-MiniLM-L6-v2",
        min_length=1,
        description="Model that turns texts into vectors: a name on Hugging Face, the folder of a model or, "
        "with RAG_EMBEDDINGS_URL, the name that this API knows; collections are indexed anew when it changes",
    )
    rag_embeddings_url: HttpUrl | None = Field(
        None, description="Base URL of an OpenAI-compatible API for embeddings, as http://host/v1; empty: this machine"
    )
    rag_embeddings_api_key: SecretStr | None = Field(None, description="Its key, if it wants one")
    rag_embedding_dimensions: int | None = Field(
        None, ge=1, le=16_384, description="Dimensions asked of RAG_EMBEDDINGS_URL; empty: the model's own"
    )
    rag_rerank_model: str | None = Field(
        None, description="Cross-encoder that ranks what a search found, a name or a folder; empty: none"
    )
    rag_encoder_threads: int | None = Field(
        None, ge=1, le=256, description="Threads that compute vectors; empty: one a core, at most eight"
    )
    rag_encoder_device: str | None = Field(
        None, description="Where vectors are computed, as cpu, cuda or mps; empty: on a GPU if there is one"
    )
    rag_encoder_preload: bool = Field(
        True, description="Load the embedding model at start, in the background; false: when it is first needed"
    )
    rag_max_upload_mb: int = Field(
        2048, ge=1, description="Largest upload of documents, or of a collection's snapshot, in one request, in MiB"
    )
    rag_index_type: Literal["Flat", "IVF", "HNSW"] = Field(
        "Flat",
        description="How FAISS searches a large collection that says nothing else: Flat (exact), IVF or HNSW (faster)",
    )
    rag_chunk_size: int = Field(
        512, ge=16, le=8192, description="Most tokens of a passage; less if the embedding model reads less"
    )
    rag_max_file_mb: int = Field(100, ge=1, le=2048, description="Largest document that is read, in MiB")
    rag_max_pages: int = Field(5000, ge=1, description="Most pages of a document that is read")
    rag_max_text_chars: int = Field(
        10_000_000, ge=1000, le=100_000_000, description="Most characters of text in a document that is read"
    )
    rag_parse_timeout_s: Seconds = Field(120, description="Seconds that reading one document may take")
    rag_parse_memory_mb: int = Field(1024, ge=128, description="Memory that reading documents may take at once, in MiB")
    rag_parse_concurrency: int = Field(2, ge=1, le=64, description="Sandboxes that read documents at the same time")
    rag_language: Literal[
        "arabic",
        "danish",
        "dutch",
        "english",
        "finnish",
        "french",
        "german",
        "greek",
        "hungarian",
        "italian",
        "norwegian",
        "portuguese",
        "romanian",
        "russian",
        "spanish",
        "swedish",
        "tamil",
        "turkish",
        "none",
    ] = Field(
        "english",
        description="Language whose word endings searches overlook, by its English name; none: words stay as they are",
    )
    rag_upload_max_files: int = Field(1000, ge=1, description="Files of one upload, those inside of archives included")
    rag_owner_max_files: int = Field(100_000, ge=1, description="Documents that one owner may have, in all collections")
    rag_owner_max_mb: int = Field(10_240, ge=1, description="Size of an owner's documents in all collections, in MiB")
    rag_reindex: Literal["auto", "manual"] = Field(
        "auto",
        description="auto: when RAG_EMBEDDING_MODEL changes, collections get new vectors in the background; "
        "manual: when somebody asks for it",
    )
    rag_owner_max_collections: int = Field(1000, ge=1, description="Collections that one owner may have")

    @field_validator("cors_origins", "trusted_proxies", "fallback_models", "sandbox_levels", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [item.strip() for item in value.split(",") if item.strip()]

    @field_validator("data_dir", "prompts_dir")
    @classmethod
    def _below_the_project(cls, value: Path) -> Path:
        return _ROOT / value.expanduser()  # relative to the project, whatever folder a command is called from

    @field_validator("prompts_dir")
    @classmethod
    def _is_a_folder(cls, value: Path) -> Path:
        if not value.is_dir():
            raise ValueError(f"there is no folder {value}")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str | None) -> str | None:
        if value is not None and not _is_database_url(value):
            raise ValueError("write it as postgresql://user:password@host:5432/name, or sqlite:////path/to/file")
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("write it as redis://host:6379/0 (rediss:// with TLS, unix:// for a socket)")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: list[str]) -> list[str]:
        for proxy in value:
            try:
                ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(f"{proxy!r} is no address; write 10.0.0.1 or 10.0.0.0/8") from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            parts = urlsplit(origin)
            if origin != "*" and (not parts.scheme or not parts.netloc or parts.path.strip("/")):
                raise ValueError(f"{origin!r} is no origin; write https://app.example or *")
        return [origin.rstrip("/") for origin in value]

    @field_validator("tools_host")
    @classmethod
    def _is_reachable_by_http(cls, value: str) -> str:
        return _checked_http_url(value) if "://" in value else value

    @field_validator("openai_compatible_name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,31}", value) or value in _BACKENDS:
            raise ValueError("write a lower-case word that is no other backend's name")
        return value

    @field_validator("tools_service_keys", mode="before")
    @classmethod
    def _split_service_keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [item.strip().partition(":") for item in value.split(",") if item.strip()]
        if any(not name or not key for name, _, key in pairs) or len({name for name, _, _ in pairs}) < len(pairs):
            raise ValueError("write it as name:key,name:key with every name once")
        return {name.strip(): key.strip() for name, _, key in pairs}

    @field_validator("tools_service_keys")
    @classmethod
    def _usable_service_keys(cls, value: dict[str, SecretStr] | None) -> dict[str, SecretStr] | None:
        if "main_api" in (value or {}):
            raise ValueError("the name main_api belongs to TOOLS_API_KEY; choose another")
        if any(len(key.get_secret_value()) < 32 for key in (value or {}).values()):
            raise ValueError("every key has at least 32 characters")
        return value

    @field_validator("sandbox_remote_key")
    @classmethod
    def _usable_remote_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("at least 32 characters")
        return value

    @field_validator("jwt_secret_key", "tools_api_key", "tools_llm_api_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("at least 32 characters; leave it empty and one is made for you")
        return value

    @property
    def tools_base_url(self) -> str:
        """The URL of the tools API, from TOOLS_HOST (a host or a URL) and TOOLS_PORT."""
        if urlsplit(self.tools_host).scheme in {"http", "https"}:
            return self.tools_host.rstrip("/")
        host = f"[{self.tools_host}]" if self.tools_host.count(":") > 1 else self.tools_host
        return f"http://{host}:{self.tools_port}"

    @property
    def main_base_url(self) -> str:
        """The URL of the main API on this machine, from HOST and MAIN_API_PORT."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - replaced here
        return f"http://{f'[{host}]' if host.count(':') > 1 and '[' not in host else host}:{self.main_api_port}"

    @property
    def nanocoder_folder(self) -> Path:
        """Where nanocoder is installed."""
        return _ROOT / self.nanocoder_path.expanduser() if self.nanocoder_path else self.data_dir / "nanocoder"

    @property
    def async_database_url(self) -> str:
        """DATABASE_URL with the async driver that we use."""
        if self.database_url is None:
            return f"sqlite+aiosqlite:///{(self.data_dir / 'twinport.db').resolve()}"
        scheme, separator, rest = self.database_url.partition("://")
        return _DATABASE_DRIVERS[scheme] + separator + rest

    @property
    def tools_database_url(self) -> str:
        """The tools API's database: the same PostgreSQL, or an SQLite file of its own.

        Processes that share an SQLite file would wait for each other's writes.
        """
        url = self.async_database_url
        if url.startswith("sqlite"):
            return f"sqlite+aiosqlite:///{(self.data_dir / 'tools.db').resolve()}"
        return url

    def sandbox_remote_secret(self) -> str | None:
        """Return the key between tools API and runner, from its file if one is named. Raises `SettingsError`."""
        if self.sandbox_remote_key_file is None:
            return self.sandbox_remote_key.get_secret_value() if self.sandbox_remote_key else None
        try:
            key = self.sandbox_remote_key_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError("SANDBOX_REMOTE_KEY_FILE: the file can't be read, or holds no key") from None
        if len(key) < 32:
            raise SettingsError("SANDBOX_REMOTE_KEY_FILE: the key in it has less than 32 characters")
        return key

    def secret(self, name: Literal["jwt_secret_key", "tools_api_key", "api_key_pepper", "tools_llm_api_key"]) -> str:
        """Return a secret: the configured one, or the one made on first start in DATA_DIR/secrets (0600)."""
        configured: SecretStr | None = getattr(self, name, None)
        if configured is not None:
            return configured.get_secret_value()
        return load_or_create_secret(self.data_dir / "secrets" / name)


class SettingsError(Exception):
    """A variable has a value that it cannot have; the message names it and says what it accepts."""


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; `overrides` win over the environment. Raises `SettingsError`."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines: list[str] = []
    for problem in error.errors(include_url=False, include_input=False):
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        field = Settings.model_fields.get(name)
        purpose = f" ({field.description})" if field and field.description else ""
        lines.append(f"{name.upper()}: {problem['msg'].removeprefix('Value error, ')}{purpose}")
    return "\n".join(lines)
