"""The runner's composition root: the only place that knows both its settings and its parts."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI

from config import Settings
from shared.asgi import BodyLimit, RequestContext, openai_error_body
from shared.errors import TwinportError
from tools_api.error_handlers import install_error_handlers
from tools_api.health import metrics
from tools_api.invoke.auth import ServiceKeys
from tools_api.python_coder.runtime import trees_of
from tools_api.rag.parsing.runtime import SCRIPTS as PARSING_SCRIPTS
from tools_api.runner import router
from tools_api.runner.places import Places
from tools_api.runner.service import Runner
from tools_api.sandbox import ReadOnlyTree, Sandbox
from tools_api.sandbox.remote.wire import max_job_bytes
from tools_api.sandbox.selftest import PROBE
from tools_api.sandbox_options import PACKAGES, sandbox_options

_TOOLS_API = "tools_api"
"""The caller's name of the one key that a runner has."""


class State(TypedDict):
    """What the lifespan makes and handlers reach through their dependencies."""

    service_keys: ServiceKeys
    runner: Runner


def create_runner(settings: Settings) -> FastAPI:
    """Return the application; nothing is started before its lifespan. Without SANDBOX_REMOTE_KEY it lets nobody in."""
    options = sandbox_options(settings)
    key = settings.sandbox_remote_secret()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[State]:
        sandbox = Sandbox(options)
        await sandbox.start()
        try:
            yield State(
                service_keys=ServiceKeys({_TOOLS_API: key} if key else {}), runner=Runner(sandbox, _own_trees())
            )
        finally:
            await sandbox.aclose()

    app = FastAPI(
        title="Twinport runner",
        description="The sandbox alone, for a tools API elsewhere.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(router.router)
    app.add_api_route("/metrics", metrics, include_in_schema=False)
    install_error_handlers(app)
    app.add_middleware(BodyLimit, limit=max_job_bytes(options.limits), render_error=_render_error)
    app.add_middleware(Places, most=2 * options.concurrency, render_error=_render_error)
    app.add_middleware(RequestContext)  # added last: outermost
    return app


def _own_trees() -> tuple[ReadOnlyTree, ...]:
    return PROBE, PARSING_SCRIPTS, *trees_of(PACKAGES)


def _render_error(_path: str, error: TwinportError) -> bytes:
    return openai_error_body(error)
