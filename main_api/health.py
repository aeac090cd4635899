"""`/health`: the portal's shape plus the state of each part. Tells no versions, no paths; never waits long."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends
from fastapi.requests import HTTPConnection
from pydantic import BaseModel

from shared.errors import TwinportError
from shared.tools_contract import JsonObject

_FRESH_S = 2.0
_PATIENCE_S = 1.0

Probe = Callable[[], Awaitable[JsonObject]]
"""Looks at one part and describes it; raises the tree of `shared.errors` when it is down."""


class HealthReport(BaseModel):
    """`degraded`: the server answers, but a part that `parts` names does not."""

    status: Literal["OK", "degraded"]
    message: str
    parts: dict[str, JsonObject]


class Health:
    """Asks the parts, at most every two seconds however often it is asked itself."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._report: HealthReport | None = None
        self._asked_at = 0.0
        self._asking = asyncio.Lock()

    async def report(self) -> HealthReport:
        """Return the state of all parts, none older than two seconds."""
        async with self._asking:
            if self._report is None or time.monotonic() - self._asked_at > _FRESH_S:
                self._report = await self._ask()
                self._asked_at = time.monotonic()
            return self._report

    async def _ask(self) -> HealthReport:
        states = await asyncio.gather(*(self._state(probe) for probe in self._probes.values()))
        parts = dict(zip(self._probes, states, strict=True))
        down = [name for name, state in parts.items() if state["status"] != "ok"]
        if not down:
            return HealthReport(status="OK", message="Server is running", parts=parts)
        return HealthReport(status="degraded", message=f"Server is running without: {', '.join(down)}", parts=parts)

    @staticmethod
    async def _state(probe: Probe) -> JsonObject:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return {"status": "ok", **await probe()}
        except TimeoutError:
            return {"status": "down", "reason": "no answer"}
        except TwinportError as error:
            return {"status": "down", "reason": error.message}


async def _health(connection: HTTPConnection) -> Health:
    return cast("Health", connection.state.health)


router = APIRouter(tags=["health"])


@router.get("/health")
@router.get("/api/health")
async def health(health: Annotated[Health, Depends(_health)]) -> HealthReport:
    """Say whether the server and its parts work. Always 200 while the server answers; needs no key."""
    return await health.report()
