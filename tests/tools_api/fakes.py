"""Tools that do what a test needs, behind the same Protocol as the real ones."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.tools_contract import JsonObject, ToolDefinition
from tools_api.invoke.tool import ToolCall, ToolOutput

TEXT_ARGUMENT: JsonObject = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 50}, "count": {"type": "integer", "minimum": 1}},
    "required": ["text"],
    "additionalProperties": False,
}

Run = Callable[[ToolCall], Awaitable[ToolOutput]]


async def echo(call: ToolCall) -> ToolOutput:
    return ToolOutput(content=str(call.arguments.get("text")))


@dataclass
class FakeTool:
    """Runs a function."""

    action: Run = echo
    name: str = "echo"
    aliases: tuple[str, ...] = ()
    available: bool = True
    unavailable_reason: str | None = None
    unavailable_code: str | None = None
    streams: bool = False
    timeout_s: float | None = None
    calls: list[ToolCall] = field(default_factory=list[ToolCall])

    @property
    def definition(self) -> ToolDefinition:
        return ToolDefinition(
            name=self.name,
            description="Says what it hears.",
            parameters=TEXT_ARGUMENT,
            aliases=self.aliases,
            available=self.available,
            unavailable_reason=self.unavailable_reason,
            unavailable_code=self.unavailable_code,
            streams=self.streams,
            timeout_s=self.timeout_s,
        )

    async def run(self, call: ToolCall) -> ToolOutput:
        self.calls.append(call)
        return await self.action(call)


class Hanging:
    """An action that never ends, and tells when it has begun and when it was stopped."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.stopped = asyncio.Event()

    async def __call__(self, _call: ToolCall) -> ToolOutput:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()
        return ToolOutput()
