"""A loop of calls ends; calls that differ go on as they came."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from main_api.backends.repeated_calls import without_repeated_calls
from main_api.events import ChoiceFinished, ModelEvent, TextDelta, ToolCallDelta, Usage, UsageReported

END = ChoiceFinished("length")
USAGE = UsageReported(Usage(prompt_tokens=1, completion_tokens=2), "m")


def call(index: int, name: str, arguments: str) -> list[ModelEvent]:
    middle = len(arguments) // 2
    first = ToolCallDelta(index, id=f"call_{index}", name=name)
    return [
        first,
        ToolCallDelta(index, arguments=arguments[:middle]),
        ToolCallDelta(index, arguments=arguments[middle:]),
    ]


async def passed(events: Sequence[ModelEvent]) -> list[ModelEvent]:
    async def stream() -> AsyncIterator[ModelEvent]:
        for event in events:
            yield event

    return [event async for event in without_repeated_calls(stream())]


async def test_a_call_that_is_made_again_is_left_out_with_all_that_follow() -> None:
    first, second = call(0, "ping", '{"host":"a"}'), call(1, "ping", '{"host":"b"}')
    loop = [*call(2, "ping", '{"host":"a"}'), *call(3, "ping", '{"host":"c"}')]
    assert await passed([*first, *second, *loop, END, USAGE]) == [
        *first,
        *second,
        ChoiceFinished("tool_calls"),
        USAGE,
    ]


async def test_calls_that_differ_and_text_pass_unchanged() -> None:
    events = [TextDelta("Well. "), *call(0, "ping", "{}"), *call(1, "pong", "{}"), ChoiceFinished("tool_calls")]
    assert await passed(events) == events


async def test_the_first_call_streams_as_it_comes() -> None:
    seen: list[int] = []

    async def stream() -> AsyncIterator[ModelEvent]:
        for number, event in enumerate(call(0, "ping", '{"host":"a"}')):
            assert len(seen) == number
            yield event

    async for _ in without_repeated_calls(stream()):
        seen.append(1)


async def test_choices_may_make_the_same_call() -> None:
    def of_choice(number: int) -> list[ModelEvent]:
        calls = [replace(piece, choice=number) for piece in call(0, "ping", "{}") if isinstance(piece, ToolCallDelta)]
        return [*calls, ChoiceFinished("tool_calls", number)]

    events = [*of_choice(0), *of_choice(1)]
    assert await passed(events) == events
