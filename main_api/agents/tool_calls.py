"""Run the tool calls of one turn: check them, notice repetition, call in parallel, report as they finish.

Whatever the model did wrong becomes an observation that it can read; nothing here ends a run.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from main_api.agents.arguments import ArgumentFitter, BadArguments, parse_arguments
from main_api.agents.clock import closing
from main_api.agents.leniency import folded_name
from main_api.agents.observations import Observation, describe
from main_api.agents.passages import Telling, telling_sentence
from main_api.events import Event, Notice, SourceFound, ToolCallFinished, ToolCallStarted
from main_api.toolbox.protocol import Toolbox
from shared.errors import TwinportError
from shared.tools_contract import JsonObject, Source, ToolDefinition, ToolResult

REPEATS_THAT_END_A_RUN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedCall:
    """A call as the model wrote it: `arguments` is JSON text (native calling) or what a step's JSON held."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the calls of a run may use. `deadline` is in the event loop's time."""

    calls: int
    deadline: float
    observation_chars: int
    parallel: int = 8


class ToolCalls:
    """The tools of one run and what was called so far. `seen` returns the text that the model was shown."""

    def __init__(
        self,
        toolbox: Toolbox,
        tools: Sequence[ToolDefinition],
        *,
        limits: Limits,
        request: str,
        seen: Callable[[], str],
        verbatim: bool,
        workspace: str | None,
    ) -> None:
        self._toolbox = toolbox
        self._limits = limits
        self._seen = seen
        self._workspace = workspace
        self._verbatim = verbatim
        self._request = request
        self._slots = asyncio.Semaphore(limits.parallel)
        self._fitters = {tool.name: ArgumentFitter(tool, request=request, verbatim=verbatim) for tool in tools}
        self._names = _spellings(tools)
        self._times: Counter[str] = Counter()
        self._results: dict[str, ToolResult] = {}
        self._source_keys: set[str] = set()
        self._warned = False
        self.made = 0
        self.repeated: str | None = None
        """The tool that was called with the same arguments for the third time, once that happened."""

    @property
    def spent(self) -> bool:
        return self.made >= self._limits.calls

    def resolve(self, name: str) -> str:
        """Return the tool's own name for a spelling or an alias of it, or the name as it came."""
        return self._names.get(folded_name(name), name)

    async def run(self, requested: Sequence[RequestedCall], into: list[Observation]) -> AsyncIterator[Event]:
        """Run the calls of one turn; append an observation for each of them to `into`, in their order."""
        prepared = self._prepare(requested)
        for call in prepared:
            yield ToolCallStarted(call.id, call.name, call.arguments)
        answers: dict[str, ToolResult] = {}
        async with closing(_as_finished(self._answer, prepared)) as finished:
            async for call, result in finished:
                answers[call.id] = result
                for event in self._events(call, result):
                    yield event
        into.extend(self._observation(call, answers[call.id]) for call in prepared)

    def _prepare(self, requested: Sequence[RequestedCall]) -> list["_Prepared"]:
        batch: set[str] = set()
        return [self._prepare_one(call, batch) for call in requested]

    def _prepare_one(self, call: RequestedCall, batch: set[str]) -> "_Prepared":
        name = self.resolve(call.name)
        fitter = self._fitters.get(name)
        if fitter is None:
            message = f"There is no tool {call.name[:80]!r}. The tools are: {', '.join(self._fitters)}."
            return _refused(call, call.name[:80], "unknown_tool", message)
        try:
            value = _text_or_object(call.arguments) if isinstance(call.arguments, str) else call.arguments
            arguments = fitter.fit(value, seen=self._seen())
        except BadArguments as error:
            return _refused(call, name, "invalid_arguments", str(error))
        key = f"{name} {json.dumps(arguments, sort_keys=True, default=str)}"
        known = self._known_answer(name, key, batch)
        if known is None and self.spent:
            return _refused(call, name, "budget_spent", "Not run: no more tool calls are allowed. Answer now.")
        if known is None:
            self.made += 1
        return _Prepared(id=call.id, name=name, arguments=arguments, key=key, result=known)

    def _known_answer(self, name: str, key: str, batch: set[str]) -> ToolResult | None:
        """Return what to say instead of running a call again; a call that failed may be tried a second time."""
        if key in batch:
            return ToolResult.failed("repeated_call", "The same call is made twice in this step; see its other result.")
        batch.add(key)
        self._times[key] += 1
        if self._times[key] >= REPEATS_THAT_END_A_RUN:
            self.repeated = name
        before = self._results.get(key)
        if before is None or (not before.ok and self._times[key] < REPEATS_THAT_END_A_RUN):
            return None
        text = describe(before, cap=self._limits.observation_chars)
        if not before.ok:
            return ToolResult.failed("repeated_call", f"This call has failed before, do not repeat it. {text}")
        return ToolResult(ok=True, content=f"{text}\n(This is the result of the same call before; use it.)")

    async def _answer(self, call: "_Prepared") -> ToolResult:
        if call.result is not None:
            return call.result
        try:
            async with asyncio.timeout_at(self._limits.deadline), self._slots:
                result = await self._toolbox.invoke(call.name, call.arguments, workspace=self._workspace)
        except TimeoutError:
            result = ToolResult.failed("timeout", "The time of this run is over; the tool was stopped.")
        except TwinportError as error:
            result = ToolResult.failed(error.code, error.message)
        self._results[call.key] = result
        return result

    def _events(self, call: "_Prepared", result: ToolResult) -> list[Event]:
        events: list[Event] = [ToolCallFinished(call.id, call.name, result)]
        for source in self._sources(result):
            key = source.url or source.title
            if key not in self._source_keys:
                self._source_keys.add(key)
                events.append(SourceFound(source))
        if result.error and result.error.type == "tools_unavailable" and not self._warned:
            self._warned = True
            events.append(Notice("tools_unavailable", result.error.message, {"tool": call.name}))
        return events

    def _observation(self, call: "_Prepared", result: ToolResult) -> Observation:
        telling = self._telling(result)
        text = telling.observation if telling else describe(result, cap=self._limits.observation_chars)
        return Observation(call_id=call.id, name=call.name, arguments=call.arguments, text=text, ok=result.ok)

    def _telling(self, result: ToolResult) -> Telling | None:
        """Return what a copying model is shown of a search: the sentence that answers."""
        return telling_sentence(result.content, self._request) if self._verbatim and result.sources else None

    def _sources(self, result: ToolResult) -> Sequence[Source]:
        """Return the sources in their order, but first the one that a copying model is shown."""
        telling = self._telling(result)
        if telling is None or telling.place >= len(result.sources):
            return result.sources
        others = (source for place, source in enumerate(result.sources) if place != telling.place)
        return [result.sources[telling.place], *others]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A checked call; with a `result` it is answered already and is not sent."""

    id: str
    name: str
    arguments: JsonObject
    key: str
    result: ToolResult | None = None


async def _as_finished(
    answer: Callable[[_Prepared], Coroutine[Any, Any, ToolResult]], calls: Sequence[_Prepared]
) -> AsyncGenerator[tuple[_Prepared, ToolResult], None]:
    """Answer all calls at once; yield each as it is done.

    The task group lives in a task of its own: one that is open across a `yield` would cancel the consumer's task.
    Closing this generator cancels the calls and waits until they are gone.
    """
    done: asyncio.Queue[tuple[_Prepared, ToolResult] | None] = asyncio.Queue()

    async def one(call: _Prepared) -> None:
        done.put_nowait((call, await answer(call)))

    async def all_of_them() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for call in calls:
                    group.create_task(one(call))
        finally:
            done.put_nowait(None)

    worker = asyncio.create_task(all_of_them())
    try:
        while (item := await done.get()) is not None:
            yield item
        await worker  # raises what a toolbox should not have raised
    finally:
        worker.cancel()
        await asyncio.wait({worker})


def _text_or_object(written: str) -> Any:
    """Read a JSON text; what does not look like an object may be the bare value of a tool's only argument."""
    text = written.strip()
    if not text or text.startswith("{"):
        return parse_arguments(text)
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return written


def _refused(call: RequestedCall, name: str, error_type: str, message: str) -> _Prepared:
    return _Prepared(id=call.id, name=name, arguments={}, key="", result=ToolResult.failed(error_type, message))


def _spellings(tools: Sequence[ToolDefinition]) -> dict[str, str]:
    aliases = {folded_name(alias): tool.name for tool in tools for alias in tool.aliases}
    return {**aliases, **{folded_name(tool.name): tool.name for tool in tools}}
