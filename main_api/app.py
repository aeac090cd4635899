"""The composition root of the main API: makes the long-lived parts from the settings, wires them, mounts the routes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

import aiohttp
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from prometheus_client import REGISTRY

from config import Settings
from main_api import health
from main_api.agents.prompts import PromptLibrary
from main_api.agents.protocol import Budget
from main_api.agents.react import ReactOptions
from main_api.agents.registry import create_agents
from main_api.api_description import DESCRIPTION, describe_authentication
from main_api.auth.router import router as auth_router
from main_api.auth.service import AuthOptions, AuthService
from main_api.backends.engine import EngineOptions
from main_api.backends.engine_metrics import EngineCollector
from main_api.backends.engine_pool import EnginePool
from main_api.backends.litellm_backend import LitellmBackend
from main_api.backends.local import LocalBackend
from main_api.backends.local_launch import LlamaCpp
from main_api.backends.mlx import MlxBackend
from main_api.backends.ollama import OllamaBackend
from main_api.backends.openai_compatible import OpenAICompatibleBackend, OpenAICompatibleOptions
from main_api.backends.prompt_log import PromptLog
from main_api.backends.protocol import Backend
from main_api.backends.router import ModelRouter, RouterOptions
from main_api.chat.service import ChatParts, ChatService
from main_api.chat.titles import Titles
from main_api.db import Database
from main_api.dialects.cors import AllowedOrigins
from main_api.dialects.errors import install_error_handlers, render_error
from main_api.dialects.openai.embeddings import router as embeddings_router
from main_api.dialects.openai.router import add_openai_routes
from main_api.embeddings.encoder import ToolsEncoder
from main_api.embeddings.service import EmbeddingService
from main_api.limits.client_address import ClientAddresses
from main_api.limits.service import RateLimiter
from main_api.metrics import router as metrics_router
from main_api.models.router import router as models_router
from main_api.models.service import ModelService
from main_api.rag.client import RagClient
from main_api.rag.departures import Departures
from main_api.rag.grants import router as rag_grants_router
from main_api.rag.people import People
from main_api.rag.router import router as rag_router
from main_api.rag.service import RagService
from main_api.sessions.router import router as sessions_router
from main_api.sessions.service import SessionOptions, SessionService, open_sessions
from main_api.toolbox.artifacts import Artifacts
from main_api.toolbox.client import ToolsClient
from main_api.toolbox.router import router as artifacts_router
from main_api.usage.service import UsageRecorder
from shared.asgi import BodyLimit, RequestContext
from shared.errors import Unavailable
from shared.http_client import create_http_session
from shared.tools_contract import JsonObject
from shared.uploads import upload_limits


class State(TypedDict):
    """What the lifespan makes; each slice's `deps.py` reads its own entry."""

    auth: AuthService
    limits: RateLimiter
    client_addresses: ClientAddresses
    sessions: SessionService
    models: ModelService
    chat: ChatService
    artifacts: Artifacts
    rag: RagService
    embeddings: EmbeddingService
    health: health.Health


_NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False)
"""Ours are /metrics and the log; FastAPI's looks the environment up on every request to find out that it is off."""

_ROUTERS = (
    health.router,
    metrics_router,
    auth_router,
    sessions_router,
    models_router,
    artifacts_router,
    embeddings_router,
    rag_router,
    rag_grants_router,
)


def create_app(settings: Settings) -> FastAPI:
    """Return the application; nothing is opened or started before its lifespan."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[State]:
        async with AsyncExitStack() as stack:
            yield await _open(settings, stack)

    app = FastAPIOffline(
        title="Twinport",
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    add_openai_routes(app)
    for router in _ROUTERS:
        app.include_router(router)
    describe_authentication(app)
    install_error_handlers(app)
    app.add_middleware(
        BodyLimit,
        limit=settings.max_body_bytes,
        render_error=render_error,
        small=("/api/auth/", "/api/chat/sessions"),
        others=upload_limits(settings.rag_max_upload_mb),
    )
    if settings.cors_origins:
        _allow_browsers(app, settings.cors_origins)
    app.add_middleware(RequestContext)  # added last: outermost
    return app


def _allow_browsers(app: FastAPI, origins: list[str]) -> None:
    """Let pages of `origins` call us. `*` lets any page, but then without cookies, whatever the portal's document says:
    with both, a page that a person merely visits could act as that person."""
    app.add_middleware(
        AllowedOrigins,
        allow_origins=origins,
        allow_credentials="*" not in origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=["authorization", "content-type", "x-api-key", "x-request-id", "last-event-id"],
        expose_headers=["x-request-id", "x-session-id", "retry-after"],
        max_age=600,
    )


async def _open(settings: Settings, stack: AsyncExitStack) -> State:
    """Open every part; `stack` closes them in reverse order."""
    http = create_http_session(read_timeout_s=settings.model_timeout_s)
    stack.push_async_callback(http.close)
    db = Database(settings.async_database_url)
    stack.push_async_callback(db.aclose)
    await db.migrate()

    limits = RateLimiter(
        enabled=settings.rate_limit_enabled,
        redis_url=settings.redis_url,
        requests_per_minute=settings.api_key_requests_per_minute,
    )
    stack.push_async_callback(limits.aclose)
    auth = AuthService(db, options=_auth_options(settings), limits=limits)
    await auth.last_used.start()
    stack.push_async_callback(auth.aclose)
    usage = UsageRecorder(db, folder=settings.data_dir / "usage")
    await usage.start()
    stack.push_async_callback(usage.aclose)
    sessions = await stack.enter_async_context(open_sessions(SessionOptions(folder=settings.data_dir / "sessions")))

    engines = EnginePool(_engine_options(settings), http)
    stack.push_async_callback(engines.aclose)
    collector = EngineCollector(engines.status)
    REGISTRY.register(collector)
    stack.callback(REGISTRY.unregister, collector)
    router = _model_router(settings, engines, http, stack)
    stack.push_async_callback(router.aclose)
    tools = ToolsClient(
        base_url=settings.tools_base_url,
        api_key=settings.secret("tools_api_key"),
        session=http,
        timeout_s=settings.default_tool_timeout,
    )
    rag_client = RagClient(base_url=settings.tools_base_url, api_key=settings.secret("tools_api_key"), session=http)
    encoder = ToolsEncoder(rag_client)
    stack.push_async_callback(encoder.aclose)
    departures = Departures(db, rag_client, auth)
    await departures.start()
    stack.push_async_callback(departures.aclose)
    artifacts = Artifacts(db, tools, ttl_hours=settings.artifact_ttl_hours)
    prompts = PromptLibrary(settings.prompts_dir)
    titles = Titles(sessions, prompts)
    stack.push_async_callback(titles.aclose)
    parts = ChatParts(
        router=router,
        agents=create_agents(prompts, _react_options(settings)),
        toolbox=tools,
        sessions=sessions,
        titles=titles,
        artifacts=artifacts,
        usage=usage,
        max_history=settings.max_conversation_history,
        default_temperature=settings.default_temperature,
    )
    return State(
        auth=auth,
        limits=limits,
        client_addresses=ClientAddresses(settings.trusted_proxies),
        sessions=sessions,
        models=ModelService(router, encoder.models),
        chat=ChatService(parts),
        artifacts=artifacts,
        embeddings=EmbeddingService(router, encoder, usage),
        rag=RagService(rag_client, People(auth)),
        health=health.Health(
            {"database": _database_probe(db), "tools": _tools_probe(tools), "engine": _engine_probe(engines)}
        ),
    )


def _auth_options(settings: Settings) -> AuthOptions:
    return AuthOptions(
        jwt_secret=settings.secret("jwt_secret_key"),
        pepper=settings.secret("api_key_pepper"),
        service_key=settings.secret("tools_llm_api_key"),
        access_lifetime_s=settings.jwt_expiration_hours * 3600,
        refresh_lifetime_s=settings.refresh_expiration_days * 86400,
    )


def _engine_options(settings: Settings) -> EngineOptions:
    return EngineOptions(
        log_dir=settings.data_dir / "logs" / "engines",
        slots=settings.engine_slots,
        context=settings.engine_context,
        max_loaded=settings.engine_max_loaded,
        threads=settings.engine_threads,
        idle_unload_s=settings.engine_idle_unload_s,
        start_timeout_s=settings.engine_start_timeout_s,
        silence_timeout_s=settings.model_timeout_s,
    )


def _react_options(settings: Settings) -> ReactOptions:
    budget = Budget(steps=settings.react_max_iterations, seconds=settings.run_timeout_s)
    return ReactOptions(budget=budget, retry_on_error=settings.react_retry_on_error)


def _model_router(
    settings: Settings, engines: EnginePool, http: aiohttp.ClientSession, stack: AsyncExitStack
) -> ModelRouter:
    prompt_log = PromptLog(settings.data_dir / "logs" / "prompts.log", enabled=settings.prompt_log_enabled)
    stack.push_async_callback(asyncio.to_thread, prompt_log.close)
    options = RouterOptions(
        default_backend=settings.openai_compatible_name
        if settings.llm_backend == "openai_compatible"
        else settings.llm_backend,
        default_model=settings.default_model,
        fallback_models=settings.fallback_models,
        backend_models={"ollama": settings.ollama_model} if settings.ollama_model else {},
    )
    return ModelRouter(_backends(settings, engines, http), options=options, prompt_log=prompt_log)


def _backends(settings: Settings, engines: EnginePool, http: aiohttp.ClientSession) -> dict[str, Backend]:
    """Make the configured providers and those of this machine, by the prefix of their models' names."""
    models_dir = settings.data_dir / "models"
    llamacpp = LlamaCpp(engine=settings.llamacpp_engine, binary=settings.llamacpp_binary)
    return {
        **_providers(settings, http),
        "ollama": OllamaBackend(
            base_url=settings.ollama_base_url,
            session=http,
            num_ctx=settings.ollama_num_ctx,
            keep_alive=settings.ollama_keep_alive,
        ),
        "local": LocalBackend(models_dir=models_dir, engines=engines, llamacpp=llamacpp),
        "mlx": MlxBackend(models_dir=models_dir / "mlx", engines=engines),
    }


def _providers(settings: Settings, http: aiohttp.ClientSession) -> dict[str, Backend]:
    providers: dict[str, Backend] = {}
    compatible_name = settings.openai_compatible_name
    for name, base_url, key, wanted in (
        (compatible_name, settings.openai_compatible_base_url, settings.openai_compatible_api_key, True),
        ("openai", settings.openai_base_url, settings.openai_api_key, settings.openai_api_key is not None),
        (
            "openrouter",
            settings.openrouter_base_url,
            settings.openrouter_api_key,
            settings.openrouter_api_key is not None,
        ),
    ):
        if base_url is not None and wanted:
            providers[name] = OpenAICompatibleBackend(
                name=name,
                base_url=base_url,
                session=http,
                api_key=key.get_secret_value() if key else None,
                options=OpenAICompatibleOptions(silence_timeout_s=settings.model_timeout_s),
            )
    for name, key in (("anthropic", settings.anthropic_api_key), ("google", settings.google_api_key)):
        if key is not None:
            providers[name] = LitellmBackend(
                name=name, api_key=key.get_secret_value(), silence_timeout_s=settings.model_timeout_s
            )
    return providers


def _database_probe(db: Database) -> health.Probe:
    async def probe() -> JsonObject:
        await db.ping()
        return {}

    return probe


def _tools_probe(tools: ToolsClient) -> health.Probe:
    async def probe() -> JsonObject:
        state = await tools.health()
        if not state.reachable:
            reason = "refuses TOOLS_API_KEY" if state.details else "cannot be reached"
            raise Unavailable(f"The tools API {reason}; chats go on without tools.")
        return {name: state.details.get(name) for name in ("tools", "sandbox")}

    return probe


def _engine_probe(engines: EnginePool) -> health.Probe:
    async def probe() -> JsonObject:
        return {"loaded": [{"model": e.model, "state": e.state, "restarts": e.restarts} for e in engines.status()]}

    return probe
