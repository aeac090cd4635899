"""`/health` and `/metrics`: for supervisors on this machine, so without a key, versions, paths or reasons."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from tools_api.embeddings.protocol import Encoder
from tools_api.invoke.deps import InvokerDep, authenticate
from tools_api.sandbox import SandboxReport

_LOOPBACK = {"127.0.0.1", "::1"}

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """`degraded`: the process answers, and a tool of it cannot run.

    `sandbox` is the level at which untrusted code runs, `off` if it is refused; `sandbox_passed_over` has the levels
    that the operator prefers, each with a word for why it can't be used: `missing`, `broken`, or `self_test` for one
    that does not isolate. `encoder` tells whether texts can be turned into vectors: searching documents by their words
    works without. The log and `twinport doctor` say more.
    """

    status: Literal["ok", "degraded"]
    service: Literal["tools_api"] = "tools_api"
    tools: dict[str, Literal["available", "unavailable"]]
    sandbox: str
    sandbox_passed_over: dict[str, str]
    encoder: Literal["starting", "ready", "failed", "off"]


async def _sandbox_report(request: Request) -> SandboxReport:
    return request.state.sandbox_report()


async def _encoder_state(request: Request) -> Literal["starting", "ready", "failed", "off"]:
    encoder: Encoder | None = request.state.encoder
    return encoder.status.state if encoder is not None else "off"


@router.get("/health")
async def health(
    invoker: InvokerDep,
    report: Annotated[SandboxReport, Depends(_sandbox_report)],
    encoder: Annotated[Literal["starting", "ready", "failed", "off"], Depends(_encoder_state)],
) -> Health:
    """Say which tools can run, and at which sandbox level (`off`: untrusted code is refused)."""
    definitions = invoker.definitions()
    return Health(
        status="ok" if all(definition.available for definition in definitions) else "degraded",
        tools={tool.name: "available" if tool.available else "unavailable" for tool in definitions},
        sandbox=report.level or "off",
        sandbox_passed_over={item.level: item.failure for item in report.passed_over},
        encoder=encoder,
    )


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Counters and histograms in Prometheus' text form, for scrapers on this machine and for services with a key."""
    if request.client is None or request.client.host not in _LOOPBACK:
        await authenticate(request)
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
