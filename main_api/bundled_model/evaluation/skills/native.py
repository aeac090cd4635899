"""OpenAI's `tools` in the request, and the calls of one turn."""

from dataclasses import replace

from main_api.bundled_model.evaluation.asking import Asker, Reply, user
from main_api.bundled_model.evaluation.judgement import EXACT, RIGHT_TOOL, Judgement, shown
from main_api.bundled_model.evaluation.scoring import read_object, same_arguments
from main_api.bundled_model.evaluation.sets import NativeCall, NativeItem

_COUNTS = {0: "no call", 1: "one call", 2: "two calls"}


async def native(asker: Asker, item: NativeItem) -> list[Judgement]:
    """Judge the names of the calls, in any order, and then their arguments; a single call is also demanded by name."""
    judged = _judged(item, await asker.chat([user(item.request)], tools=item.tools))
    if len(item.calls) == 1:
        choice = {"type": "function", "function": {"name": item.calls[0].name}}
        demanded = _judged(item, await asker.chat([user(item.request)], tools=item.tools, tool_choice=choice))
        judged += [replace(one, figure=f"demanded by tool_choice: {one.figure}") for one in demanded[:2]]
    return judged


def _judged(item: NativeItem, reply: Reply) -> list[Judgement]:
    wanted = "; ".join(f"{call.name} {' or '.join(map(shown, call.arguments))}" for call in item.calls) or "no call"
    got = "; ".join(f"{name} {arguments}" for name, arguments in reply.calls) or reply.text
    names = sorted(name for name, _ in reply.calls)
    answered = bool(names or reply.text.strip()) and not reply.problem
    named = answered and names == sorted(call.name for call in item.calls)
    exact = named and _all_found(item.calls, reply)
    count = _COUNTS.get(len(item.calls), f"{len(item.calls)} calls")
    figures = {RIGHT_TOOL: named, EXACT: exact, f"{count}: {RIGHT_TOOL}": named, f"{count}: {EXACT}": exact}
    return [Judgement(figure, counts, item.request, wanted, got) for figure, counts in figures.items()]


def _all_found(wanted: list[NativeCall], reply: Reply) -> bool:
    left = list(reply.calls)
    for call in wanted:
        fits = (
            one for one in left if one[0] == call.name and same_arguments(read_object(one[1] or "{}"), call.arguments)
        )
        found = next(fits, None)
        if found is None:
            return False
        left.remove(found)
    return not left
