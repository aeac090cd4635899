"""The boundary around every tool: the one way in (slot, workspace, deadline) and the one way out (caps, receipt)."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from shared.errors import TwinportError, Unavailable
from shared.logging import get_logger
from shared.tools_contract import Artifact, InvokeRequest, ToolDefinition, ToolError, ToolResult
from tools_api.invoke.arguments import problem_with
from tools_api.invoke.live import LiveOutput
from tools_api.invoke.registry import ToolRegistry
from tools_api.invoke.result import OutputLimits, assemble, cap, failed
from tools_api.invoke.slots import Caller, ToolSlots
from tools_api.invoke.tool import OutputFile, Tool, ToolCall, ToolOutput
from tools_api.invoke.workspaces import Workspaces

_log = get_logger("invoke")

_CALLS = Counter("twinport_tool_calls_total", "Tool calls ended", ["tool", "outcome"])
_RUNNING = Gauge("twinport_tool_calls_in_flight", "Tool calls open now", ["tool"])
_SECONDS = Histogram(
    "twinport_tool_call_seconds",
    "Seconds from the arrival of a tool call to its result",
    ["tool"],
    buckets=(0.002, 0.01, 0.05, 0.2, 1, 5, 30, 120),
)

_TOOL_FAILED = ToolError(
    type="tool_failed", message="The tool failed unexpectedly. Try other arguments, or go on without it."
)


class ArtifactSink(Protocol):
    """Where the files that a tool made are kept."""

    async def save(self, caller: str, file: OutputFile) -> Artifact:
        """Keep a file for `caller`. Raises `StorageFull`."""
        ...


class ToolUnavailable(Unavailable):
    """The tool exists and cannot run on this machine now; the tool names the code and the reason."""

    code = "tool_unavailable"

    def __init__(self, definition: ToolDefinition) -> None:
        reason = definition.unavailable_reason or "it is off"
        super().__init__(f"The tool {definition.name} is not available: {reason}", details={"reason": reason})
        if definition.unavailable_code:
            self.code = definition.unavailable_code  # pyright: ignore[reportAttributeAccessIssue] -- per tool, not class


@dataclass(slots=True)
class _Call:
    caller: str
    tool: Tool
    definition: ToolDefinition
    request: InvokeRequest
    live: LiveOutput | None
    started: float = field(default_factory=time.perf_counter)
    had_its_turn: bool = False

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def seconds_left(self) -> float:
        return self.request.deadline_ms / 1000 - self.seconds


class Invoker:
    """Runs tools for callers. Stateless but for the slots and workspaces that it is given."""

    def __init__(
        self,
        *,
        registry: ToolRegistry,
        workspaces: Workspaces,
        artifacts: ArtifactSink,
        slots: ToolSlots,
        limits: OutputLimits | None = None,
    ) -> None:
        self._registry = registry
        self._workspaces = workspaces
        self._artifacts = artifacts
        self._slots = slots
        self._limits = limits or OutputLimits()

    def definitions(self) -> tuple[ToolDefinition, ...]:
        """Return the definitions of all tools."""
        return self._registry.definitions()

    def definition(self, name: str) -> ToolDefinition:
        """Return one tool's definition. Raises `NotFound`."""
        return self._registry.find(name).tool.definition

    async def invoke(
        self, caller: str, name: str, request: InvokeRequest, *, live: LiveOutput | None = None
    ) -> ToolResult:
        """Call a tool; what it cannot do is a result with `ok: false`. Cancelling stops the tool.

        `live` gets what the tool prints while it runs, if it is one that streams.
        Raises `NotFound`, `ToolUnavailable`, `RateLimited`, `StorageFull`: the contract or the machine failed.
        """
        registered = self._registry.find(name)
        definition = registered.tool.definition
        if not definition.available:
            raise ToolUnavailable(definition)
        if (problem := problem_with(request.arguments, registered.validator)) is not None:
            _CALLS.labels(definition.name, "invalid_arguments").inc()
            return failed("invalid_arguments", problem)
        return await self._observed(_Call(caller, registered.tool, definition, request, live))

    async def _observed(self, call: _Call) -> ToolResult:
        name = call.definition.name
        outcome = "cancelled"
        with _RUNNING.labels(name).track_inprogress():
            try:
                result = await self._in_time(call)
                outcome = result.error.type if result.error else "ok"
            except TwinportError as error:
                outcome = error.code
                raise
            else:
                return result
            finally:
                _CALLS.labels(name, outcome).inc()
                _SECONDS.labels(name).observe(call.seconds)
                _log.info("tool_call", tool=name, caller=call.caller, outcome=outcome, ms=round(call.seconds * 1000, 2))

    async def _in_time(self, call: _Call) -> ToolResult:
        """Run within the caller's deadline, the waiting included."""
        deadline = asyncio.timeout(call.seconds_left)
        try:
            async with deadline:
                return await self._placed(call)
        except TimeoutError:
            if not deadline.expired():
                raise
            return failed("timeout", _too_late(call), wall_s=call.seconds)

    async def _placed(self, call: _Call) -> ToolResult:
        """Wait for the workspace first: who waits for that should not hold a slot."""
        caller = Caller(call.caller, call.request.acting_for or call.request.workspace or "")
        slots = self._slots.of(call.definition.name)
        async with (
            slots.place(caller),
            self._workspaces.lease(call.caller, call.request.workspace) as workspace,
            slots.turn(caller),
        ):
            call.had_its_turn = True
            output = await self._contained(call.tool, _tool_call(call, workspace))
            artifacts = [await self._artifacts.save(call.caller, file) for file in output.files]
            return assemble(output, tuple(artifacts), wall_s=call.seconds)

    async def _contained(self, tool: Tool, call: ToolCall) -> ToolOutput:
        try:
            return cap(await tool.run(call), self._limits)
        except TwinportError:
            raise
        except Exception:  # noqa: BLE001 -- the tool boundary: a tool's fault is a result, never a broken process
            _log.exception("tool_failed", tool=tool.definition.name)
            return ToolOutput(error=_TOOL_FAILED)


def _tool_call(call: _Call, workspace: Path) -> ToolCall:
    return ToolCall(
        arguments=call.request.arguments,
        workspace=workspace,
        timeout_s=max(call.seconds_left, 0.001),
        caller=call.caller,
        workspace_name=call.request.workspace,
        acting_for=call.request.acting_for,
        on_output=call.live.write if call.live and call.definition.streams else None,
    )


def _too_late(call: _Call) -> str:
    limit = call.request.deadline_ms / 1000
    if call.had_its_turn:
        return f"The tool did not finish within {limit:g} s and was stopped. Ask for less, or split the work."
    return f"The tool was busy with other calls for {limit:g} s and did not begin. Try again later."
