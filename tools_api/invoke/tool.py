"""What a tool is. To add one, write a class with a `definition` and a `run` and name it in `tools_api/app.py`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from shared.tools_contract import JsonObject, Receipt, Source, ToolDefinition, ToolError

StreamName = Literal["stdout", "stderr"]
OutputListener = Callable[[StreamName, bytes], None]
"""Takes output as it comes, cut anywhere. Never waits and never fails; to be called in the event loop's thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call, checked: `arguments` fit the tool's schema, `workspace` is a folder that only this call uses now.

    `timeout_s` is what is left of the caller's deadline; the boundary enforces it too, a tool may end earlier with
    a better message. `caller` names the service that called, `workspace_name` the workspace and `acting_for` the person
    that it named, if any: for fairness and logs, and for what a tool keeps between calls of the same three.
    `on_output` is there when it wants to read along; a tool whose definition says `streams` then tells it what it
    prints.
    """

    arguments: JsonObject
    workspace: Path
    timeout_s: float
    caller: str
    workspace_name: str | None = None
    acting_for: str | None = None
    on_output: OutputListener | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """A file that a tool made: a plain base name and its bytes, already capped. The boundary stores it."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """What a tool gives back; `error` set means it ran and failed."""

    content: str = ""
    data: Any = None
    files: tuple[OutputFile, ...] = ()
    sources: tuple[Source, ...] = ()
    error: ToolError | None = None
    receipt: Receipt = field(default_factory=Receipt)


class Tool(Protocol):
    """A tool. `definition.available` may change while the process runs (a sandbox that failed its self-test, say)."""

    @property
    def definition(self) -> ToolDefinition: ...

    async def run(self, call: ToolCall) -> ToolOutput:
        """Do it. Expected failures are outputs with `error`; cancelling must stop all that was started."""
        ...
