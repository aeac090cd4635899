"""What agents see of the tools API."""

from collections.abc import Sequence
from typing import Protocol

from shared.tools_contract import JsonObject, ToolDefinition, ToolResult


class Toolboxes(Protocol):
    """The tools of everyone."""

    async def definitions(self, allowed: Sequence[str] | None = None) -> list[ToolDefinition]:
        """See `Toolbox.definitions`."""
        ...

    def of_person(self, person: str) -> "Toolbox":
        """Return the toolbox of one person, as a stable word that names nobody else."""
        ...


class Toolbox(Protocol):
    """The server-side tools that a run may use."""

    async def definitions(self, allowed: Sequence[str] | None = None) -> list[ToolDefinition]:
        """List the available tools, only those named (by name or alias) in `allowed` if given.

        Raises `InvalidRequest` for a name that no tool has, `Unavailable` when the tools API is down.
        """
        ...

    async def invoke(self, name: str, arguments: JsonObject, *, workspace: str | None = None) -> ToolResult:
        """Call a tool for the person whose toolbox this is. A tool's own failure is a result with `ok: false`;
        a machine's failure too, so that the
        model can go on: `error.type` is then `tools_unavailable` or `timeout`. Cancelling cancels the tool."""
        ...
