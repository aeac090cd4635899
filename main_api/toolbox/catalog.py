"""Which tools there are: the tools API's list, kept for a few seconds, and for longer while it cannot be reached.

A list that could not be renewed is still good for names and schemas, but its tools are marked as not available.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from shared.errors import InvalidRequest, Unavailable
from shared.tools_contract import ToolDefinition

Fetch = Callable[[], Awaitable[tuple[ToolDefinition, ...]]]

_LONGEST_RETRY_S = 1.0
"""After a failure nobody asks again for so long, lest a hung tools API slow every chat down."""
_DOWN = "The tools API cannot be reached."


class Catalog:
    """The known tools. `fetch` raises `Unavailable`; any number of callers at once cause one fetch."""

    def __init__(self, fetch: Fetch, *, fresh_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._fresh_s = fresh_s
        self._clock = clock
        self._tools: tuple[ToolDefinition, ...] | None = None
        self._checked_at = float("-inf")
        self._down = False
        self._lock = asyncio.Lock()

    async def definitions(self, allowed: Sequence[str] | None) -> list[ToolDefinition]:
        """Return the tools, or those named in `allowed`, each once. Raises `InvalidRequest`, `Unavailable`."""
        await self._renew()
        if self._tools is None:
            raise Unavailable(_DOWN, retry_after=self._fresh_s)
        tools = self._tools if allowed is None else self._named(allowed)
        return [_marked_down(tool) if self._down else tool for tool in tools]

    def resolve(self, name: str) -> str:
        """Return the tool's own name for one of its aliases, any other name as it is."""
        tool = self._by_name().get(name.casefold())
        return tool.name if tool else name

    def timeout_of(self, name: str) -> float | None:
        """Return how long a call of the tool may take, if it says that it takes longer than others."""
        tool = self._by_name().get(name.casefold())
        return tool.timeout_s if tool else None

    async def _renew(self) -> None:
        if self._is_current():
            return
        async with self._lock:
            if self._is_current():
                return
            try:
                self._tools = await self._fetch()
                self._down = False
            except Unavailable:
                self._down = True
            self._checked_at = self._clock()

    def _is_current(self) -> bool:
        return self._clock() - self._checked_at < (
            min(_LONGEST_RETRY_S, self._fresh_s) if self._down else self._fresh_s
        )

    def _named(self, allowed: Sequence[str]) -> list[ToolDefinition]:
        by_name = self._by_name()
        unknown = [name for name in allowed if name.casefold() not in by_name]
        if unknown:
            known = ", ".join(tool.name for tool in self._tools or ())
            message = f"There is no tool {unknown[0][:80]!r}; there are: {known}."
            raise InvalidRequest(message, param="available_tools")
        return list({tool.name: tool for tool in (by_name[name.casefold()] for name in allowed)}.values())

    def _by_name(self) -> dict[str, ToolDefinition]:
        tools = self._tools or ()
        aliases = {alias.casefold(): tool for tool in tools for alias in tool.aliases}
        return {**aliases, **{tool.name.casefold(): tool for tool in tools}}


def _marked_down(tool: ToolDefinition) -> ToolDefinition:
    return tool.model_copy(update={"available": False, "unavailable_reason": _DOWN})
