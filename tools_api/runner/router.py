"""`/v1/runner` and `/v1/runs`: how the runner stands, and one run. For services with the runner's key."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from shared.errors import ClientDisconnected, DeadlineExceeded, InvalidRequest
from shared.sse import EventStreamResponse, Pace
from tools_api.invoke.deps import SECURITY, CallerDep
from tools_api.runner.service import Runner, error_frame
from tools_api.sandbox.remote.client import RunnerReport
from tools_api.sandbox.remote.wire import MEDIA_TYPE, Kind, frame

_BODY_WITHIN_S = 60.0
_PACE = Pace(heartbeat_s=1.0, heartbeat=frame(Kind.ALIVE))

router = APIRouter(tags=["runner"])


class RunnerHealth(BaseModel):
    """`degraded`: the process answers, and its sandbox can't be used."""

    status: Literal["ok", "degraded"]
    service: Literal["runner"] = "runner"
    sandbox: str


async def _runner(request: Request) -> Runner:
    return request.state.runner


RunnerDep = Annotated[Runner, Depends(_runner)]


@router.get("/health")
async def health(runner: RunnerDep) -> RunnerHealth:
    """Say that the process lives, and at which level its sandbox is (`off`: none). For supervisors, without a key."""
    status = "ok" if runner.is_available else "degraded"
    return RunnerHealth(status=status, sandbox=runner.report().level or "off")


@router.get("/ready", responses={503: {"description": "The sandbox can't be used"}})
async def ready(runner: RunnerDep, response: Response) -> RunnerHealth:
    """Say the same, with 503 while no job can be run: a balancer then sends none."""
    response.status_code = 200 if runner.is_available else 503
    return await health(runner)


@router.get("/v1/runner", dependencies=SECURITY)
async def describe(_caller: CallerDep, runner: RunnerDep) -> RunnerReport:
    """Say how the sandbox stands, what its self-test found, and which scripts there are in which version."""
    return runner.report()


@router.post(
    "/v1/runs",
    dependencies=SECURITY,
    response_class=Response,
    responses={
        200: {"description": "Frames: output as it comes if asked for, then the outcome", "content": {MEDIA_TYPE: {}}},
        400: {"description": "The body is no job"},
        409: {"description": "The job needs scripts that differ from this runner's"},
        413: {"description": "The job is too large"},
        503: {"description": "The sandbox can't be used, or all places are taken"},
    },
)
async def run(request: Request, _caller: CallerDep, runner: RunnerDep) -> Response:
    """Run one job. Closing the connection stops it. See `tools_api/sandbox/remote/wire.py` for both bodies."""
    runner.must_be_available()
    if request.headers.get("content-type") != MEDIA_TYPE:
        raise InvalidRequest(f"Send a job, with `Content-Type: {MEDIA_TYPE}`.")
    accepted = await asyncio.to_thread(runner.accept, await _body(request))
    return EventStreamResponse(
        runner.frames(accepted), headers=lambda: {"content-type": MEDIA_TYPE}, render_failure=error_frame, pace=_PACE
    )


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            return await request.body()
    except TimeoutError:
        raise DeadlineExceeded("The job did not arrive in time.") from None
    except ClientDisconnect:
        raise ClientDisconnected("The caller closed the connection before its job was whole.") from None
