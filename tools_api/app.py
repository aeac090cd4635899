"""The tools API's composition root: the only place that knows both the settings and the parts.

To add a tool, write a class as `tools_api/invoke/tool.py` says and name it in `open_tools`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypedDict

import aiohttp
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.routing import Route

from config import Settings
from shared.asgi import BodyLimit, RequestContext, openai_error_body
from shared.errors import TwinportError
from shared.http_client import create_http_session
from shared.logging import get_logger
from shared.uploads import upload_limits
from tools_api import health
from tools_api.artifacts import router as artifacts_router
from tools_api.artifacts.store import ArtifactStore
from tools_api.calculator.pool import WorkerPool
from tools_api.calculator.tool import Calculator
from tools_api.embeddings import router as embeddings_router
from tools_api.embeddings.open import open_encoder
from tools_api.embeddings.options import EncoderOptions, RemoteOptions
from tools_api.embeddings.protocol import CountingEncoder
from tools_api.error_handlers import install_error_handlers
from tools_api.invoke import router as invoke_router
from tools_api.invoke.auth import MAIN_API, ServiceKeys
from tools_api.invoke.registry import ToolRegistry
from tools_api.invoke.result import OutputLimits
from tools_api.invoke.service import Invoker
from tools_api.invoke.slots import Shares, ToolSlots
from tools_api.invoke.tool import Tool
from tools_api.invoke.workspaces import Workspaces
from tools_api.mcp.endpoint import McpEndpoint
from tools_api.mcp.server import McpServer
from tools_api.nanocoder import Nanocoder, NanocoderOptions, Upstream
from tools_api.python_coder import PythonCoder, PythonCoderOptions
from tools_api.rag.open import open_rag
from tools_api.rag.retrieval import Retrieval
from tools_api.rag.routers import ROUTERS
from tools_api.rag.tool import RagTool
from tools_api.rag_options import rag_options
from tools_api.sandbox import Sandbox, SandboxReport
from tools_api.sandbox_options import PACKAGES, sandbox_options

_log = get_logger("tools_api")

_MIB = 1024 * 1024
_MAX_BODY_BYTES = 4 * _MIB  # calls carry arguments, not files; parsing this much does not stall the loop
_SWEEP_EVERY_S = 600.0
_CALCULATIONS = 4  # two workers, and two calls ready for them; the others wait where turns are taken


class State(TypedDict):
    """What the lifespan makes and handlers reach through `deps.py`."""

    service_keys: ServiceKeys
    invoker: Invoker
    artifacts: ArtifactStore
    mcp: StreamableHTTPSessionManager
    sandbox_report: Callable[[], SandboxReport]
    rag: Retrieval | None
    encoder: CountingEncoder | None


@dataclass(frozen=True, slots=True)
class Toolset:
    """The tools of a process, how the sandbox stands in which they run untrusted code, and how many calls of those that
    are named in `slots` can run at once. `rag` is retrieval, unless it is off; `encoder` gives the vectors for it
    and for `/v1/embeddings`."""

    tools: Sequence[Tool]
    sandbox_report: Callable[[], SandboxReport]
    slots: Mapping[str, int] = field(default_factory=dict[str, int])
    rag: Retrieval | None = None
    encoder: CountingEncoder | None = None


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncGenerator[Toolset]:
    """Start what the tools need, and stop it afterwards."""
    sandbox = Sandbox(sandbox_options(settings))
    async with (
        WorkerPool() as pool,
        create_http_session(read_timeout_s=settings.model_timeout_s) as http,
        open_encoder(_encoder_options(settings), http) as encoder,
        open_rag(rag_options(settings), encoder=encoder) as rag,
    ):
        await sandbox.start()
        try:
            coder = await _coder(settings, sandbox, http)
            yield Toolset(
                tools=[Calculator(pool), coder, RagTool(rag)],
                sandbox_report=lambda: sandbox.report,
                slots={"calculator": _CALCULATIONS, "python_coder": settings.sandbox_concurrency},
                rag=rag,
                encoder=encoder,
            )
        finally:
            await sandbox.aclose()


async def _coder(settings: Settings, sandbox: Sandbox, http: aiohttp.ClientSession) -> Tool:
    workspace_bytes = settings.sandbox_workspace_mb * _MIB
    if settings.python_executor_mode == "native":
        options = PythonCoderOptions(
            packages=PACKAGES, timeout_s=settings.default_tool_timeout, workspace_bytes=workspace_bytes
        )
        return PythonCoder(sandbox, options)
    coder = Nanocoder(
        sandbox,
        _upstream(settings, http),
        NanocoderOptions(
            folder=settings.nanocoder_folder,
            packages=PACKAGES,
            timeout_s=settings.nanocoder_timeout,
            workspace_bytes=workspace_bytes,
        ),
    )
    await coder.start()
    return coder


def _upstream(settings: Settings, http: aiohttp.ClientSession) -> Upstream:
    """The coding agent's model: our own API with our own key, or another one with the key that was given for it."""
    key = settings.nanocoder_api_key.get_secret_value() if settings.nanocoder_api_key else None
    base_url = settings.nanocoder_base_url
    if base_url is None:
        base_url = f"{settings.main_base_url}/v1"
        key = key or settings.secret("tools_llm_api_key")
    return Upstream(session=http, base_url=base_url, model=settings.nanocoder_model, api_key=key)


def _encoder_options(settings: Settings) -> EncoderOptions:
    remote = None
    if settings.rag_embeddings_url is not None:
        key = settings.rag_embeddings_api_key.get_secret_value() if settings.rag_embeddings_api_key else None
        remote = RemoteOptions(
            url=settings.rag_embeddings_url, api_key=key, dimensions=settings.rag_embedding_dimensions
        )
    return EncoderOptions(
        model=settings.rag_embedding_model,
        downloads=settings.data_dir / "models" / "embeddings",
        rerank_model=settings.rag_rerank_model,
        threads=settings.rag_encoder_threads,
        device=settings.rag_encoder_device,
        hub_url=settings.huggingface_endpoint,
        preload=settings.rag_encoder_preload,
        remote=remote,
    )


def _output_limits(settings: Settings) -> OutputLimits:
    """What the boundary lets through is never less than what a sandboxed run may return."""
    least = OutputLimits()
    return OutputLimits(
        data_bytes=max(least.data_bytes, 4 * settings.sandbox_output_kb * 1024),
        files=max(least.files, settings.sandbox_files),
        file_bytes=max(least.file_bytes, settings.sandbox_files_mb * _MIB),
    )


OpenTools = Callable[[Settings], AbstractAsyncContextManager[Toolset]]


def create_app(settings: Settings, *, tools: OpenTools = open_tools) -> FastAPI:
    """Return the application; nothing is opened or started before its lifespan."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[State]:
        async with tools(settings) as toolset, _running(settings, toolset) as state:
            yield state

    app = FastAPIOffline(
        title="Twinport tools API",
        description="Tools for models, called by services with a service key. The same tools are offered over MCP.",
        lifespan=lifespan,
        redoc_url=None,
    )
    app.include_router(health.router)
    app.include_router(invoke_router.router)
    app.include_router(artifacts_router.router)
    app.include_router(embeddings_router.router)
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.append(Route("/mcp", endpoint=McpEndpoint(), include_in_schema=False))
    install_error_handlers(app)
    limit = min(settings.max_body_bytes, _MAX_BODY_BYTES)
    uploads = upload_limits(settings.rag_max_upload_mb)
    app.add_middleware(BodyLimit, limit=limit, render_error=_render_error, others=uploads)
    app.add_middleware(RequestContext)  # added last: outermost
    return app


@asynccontextmanager
async def _running(settings: Settings, toolset: Toolset) -> AsyncGenerator[State]:
    artifacts = ArtifactStore(
        settings.data_dir / "artifacts",
        quota_bytes=settings.artifact_quota_mb * _MIB,
        ttl_s=settings.artifact_ttl_hours * 3600,
    )
    await artifacts.open()
    workspaces = Workspaces(
        settings.data_dir / "scratch",
        max_bytes=settings.sandbox_workspace_mb * _MIB,
        total_bytes=settings.scratch_quota_mb * _MIB,
        ttl_s=settings.workspace_ttl_hours * 3600,
    )
    invoker = Invoker(
        registry=ToolRegistry(toolset.tools),
        workspaces=workspaces,
        artifacts=artifacts,
        slots=ToolSlots(
            Shares(running=settings.tools_caller_concurrency, waiting=settings.tools_caller_waiting), toolset.slots
        ),
        limits=_output_limits(settings),
    )
    mcp = McpServer(invoker, deadline_ms=round(settings.default_tool_timeout * 1000), max_body_bytes=_MAX_BODY_BYTES)
    sweeping = asyncio.create_task(_sweep_for_ever(workspaces, artifacts))
    try:
        async with mcp.running() as manager:
            yield State(
                service_keys=ServiceKeys(_service_keys(settings)),
                invoker=invoker,
                artifacts=artifacts,
                mcp=manager,
                sandbox_report=toolset.sandbox_report,
                rag=toolset.rag,
                encoder=toolset.encoder,
            )
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)


def _service_keys(settings: Settings) -> dict[str, str]:
    named = {name: key.get_secret_value() for name, key in (settings.tools_service_keys or {}).items()}
    return {MAIN_API: settings.secret("tools_api_key"), **named}


async def _sweep_for_ever(workspaces: Workspaces, artifacts: ArtifactStore) -> None:
    while True:
        try:
            removed = await workspaces.sweep() + await artifacts.sweep()
        except OSError as error:  # a disk that fails now may work at the next turn
            _log.error("sweep_failed", error=repr(error))
        else:
            if removed:
                _log.info("swept", removed=removed)
        await asyncio.sleep(_SWEEP_EVERY_S)


def _render_error(_path: str, error: TwinportError) -> bytes:
    return openai_error_body(error)
