"""Checks of the parts by using them: database, sandbox, a model in its engine, Ollama, providers, network."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from cli.finding import Finding
from config import Settings
from shared.errors import TwinportError

_ENCODER_PACKAGES = ("torch", "sentence_transformers", "transformers")
_KEYED = ("openai", "openrouter", "anthropic", "google")


async def database(settings: Settings) -> Finding:
    """Read the accounts, without making or changing tables."""
    from sqlalchemy.exc import SQLAlchemyError

    from main_api.auth import store
    from main_api.db import Database
    from shared.database.engine import sqlite_path

    path = sqlite_path(settings.async_database_url)
    if path is not None and not path.exists():
        return Finding(part="database", state="off", detail="not there yet; the first start makes it")
    db = Database(settings.async_database_url)
    try:
        async with db.session() as reading:
            accounts = len(await store.list_users(reading))
    except (TwinportError, SQLAlchemyError) as error:
        detail = error.message if isinstance(error, TwinportError) else f"its tables are missing or damaged: {error}"
        return Finding(part="database", state="broken", detail=detail.splitlines()[0], advice="Check DATABASE_URL.")
    finally:
        await db.aclose()
    kind = "SQLite" if path else "PostgreSQL"
    advice = "" if accounts else "Make the first account: twinport user create"
    return Finding(part="database", state="ok", detail=f"{kind}, {accounts} account(s)", advice=advice)


async def sandbox(settings: Settings) -> Finding:
    """Run the sandbox's self-test."""
    from tools_api.sandbox.sandbox import Sandbox, SandboxOptions

    probe = Sandbox(SandboxOptions(levels=tuple(settings.sandbox_levels)))
    try:
        report = await probe.probe()
    finally:
        await probe.aclose()
    if not report.available:
        return Finding(part="sandbox", state="off", detail=f"python_coder is off: {report.reason}")
    detail = f"{report.level}, {len(report.checks)} self-tests passed"
    better = [f"{item.level}: {item.reason}" for item in report.passed_over]
    return Finding(part="sandbox", state="ok", detail="; not ".join([detail, *better]))


async def engine(http: aiohttp.ClientSession, settings: Settings) -> Finding:
    """Load the bundled model in a real engine, as the main API does, and let it answer."""
    started = time.monotonic()
    try:
        answer = await _ask_bundled_model(http, settings)
    except TwinportError as error:
        return Finding(part="engine", state="broken", detail=error.message, advice=_engine_advice(settings))
    if not answer.strip():
        return Finding(part="engine", state="broken", detail="the bundled model answered nothing")
    seconds = time.monotonic() - started
    return Finding(part="engine", state="ok", detail=f"the bundled model loaded and answered in {seconds:.1f} s")


async def _ask_bundled_model(http: aiohttp.ClientSession, settings: Settings) -> str:
    from main_api.backends.engine import EngineOptions
    from main_api.backends.engine_pool import EnginePool
    from main_api.backends.local import LocalBackend
    from main_api.backends.local_launch import LlamaCpp
    from main_api.backends.local_models import BUNDLED_MODEL
    from main_api.backends.protocol import ModelRequest
    from main_api.events import TextDelta

    with tempfile.TemporaryDirectory(prefix="twinport-doctor-") as logs:
        options = EngineOptions(
            log_dir=Path(logs), slots=1, context=1024, threads=settings.engine_threads, start_timeout_s=30
        )
        pool = EnginePool(options, http)
        llamacpp = LlamaCpp(engine=settings.llamacpp_engine, binary=settings.llamacpp_binary)
        backend = LocalBackend(models_dir=settings.data_dir / "models", engines=pool, llamacpp=llamacpp)
        question = {"role": "user", "content": "Hello"}
        request = ModelRequest(model=BUNDLED_MODEL.partition("/")[2], messages=[question])
        try:
            events = [event async for event in backend.stream(request)]
        finally:
            await pool.aclose()
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def _engine_advice(settings: Settings) -> str:
    if settings.llamacpp_engine != "xllamacpp":
        return "Check LLAMACPP_ENGINE and LLAMACPP_BINARY, or leave them out for the embedded engine."
    if sys.platform == "linux":
        return "Is libgomp there? Debian, Ubuntu: apt-get install libgomp1"
    return "Run: bash deploy/bootstrap.sh runtime"


async def encoder(settings: Settings) -> Finding:
    """Look for what the encoder of documents needs, without loading it."""
    import importlib.util

    from tools_api.embeddings.files import find_model

    if settings.rag_embeddings_url is not None:
        return Finding(part="encoder", state="ok", detail=f"{settings.rag_embedding_model} by RAG_EMBEDDINGS_URL")
    missing = [name for name in _ENCODER_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        detail = f"documents are found by their words only: {', '.join(missing)} is missing"
        return Finding(part="encoder", state="off", detail=detail, advice="Run: bash deploy/bootstrap.sh runtime")
    downloads = settings.data_dir / "models" / "embeddings"
    here = await asyncio.to_thread(find_model, settings.rag_embedding_model, downloads)
    detail = settings.rag_embedding_model if here else f"{settings.rag_embedding_model}, which the start downloads"
    return Finding(part="encoder", state="ok", detail=detail)


async def ollama(http: aiohttp.ClientSession, settings: Settings) -> Finding:
    """Ask Ollama for its models."""
    from main_api.backends.ollama import OllamaBackend

    try:
        models = await OllamaBackend(base_url=settings.ollama_base_url, session=http).models()
    except TwinportError:
        return Finding(part="ollama", state="off", detail=f"no answer at {settings.ollama_base_url} (OLLAMA_BASE_URL)")
    advice = "" if models else "Fetch one: ollama pull qwen2.5:14b"
    return Finding(part="ollama", state="ok", detail=f"{len(models)} model(s)", advice=advice)


async def providers(settings: Settings) -> Finding:
    """Say which providers have a key; the keys are not tried out."""
    configured = [name for name in _KEYED if getattr(settings, f"{name}_api_key") is not None]
    if settings.openai_compatible_base_url:
        configured.append(f"{settings.openai_compatible_name} ({settings.openai_compatible_base_url})")
    if configured:
        return Finding(part="providers", state="ok", detail=f"configured: {', '.join(configured)}")
    return Finding(part="providers", state="off", detail="no key is set (OPENAI_API_KEY, ANTHROPIC_API_KEY, …)")


async def network(http: aiohttp.ClientSession, settings: Settings) -> Finding:
    """See whether the place that models are pulled from answers."""
    url = settings.huggingface_endpoint
    try:
        async with asyncio.timeout(5), http.head(url, allow_redirects=False):
            return Finding(part="network", state="ok", detail=f"{url} answers")
    except (aiohttp.ClientError, TimeoutError, OSError):
        detail = f"{url} does not answer: models cannot be pulled by name; what is here works without"
        return Finding(part="network", state="off", detail=detail)
