"""Which tool a ReAct step calls, and with what: the known five, unknown ones, and follow-up turns."""

import asyncio
from dataclasses import replace
from typing import Final, cast

from main_api.bundled_model.evaluation import programs
from main_api.bundled_model.evaluation.asking import Asker, Step, user
from main_api.bundled_model.evaluation.expressions import same_value
from main_api.bundled_model.evaluation.judgement import EXACT, FITTED, RIGHT_TOOL, Judgement, shown
from main_api.bundled_model.evaluation.offered import KNOWN_TOOLS, brought
from main_api.bundled_model.evaluation.scoring import same_arguments, same_output
from main_api.bundled_model.evaluation.sets import CallItem, FollowUpItem, UnknownToolItem
from shared.tools_contract import JsonObject

_FINISH: Final = "finish"


async def calls(asker: Asker, item: CallItem) -> list[Judgement]:
    """One of the known five; code is right by what it prints."""
    step = await asker.steps([user(item.request)], KNOWN_TOOLS).take()
    if item.prints:
        judged = await _program(item, step)
    else:
        judged = _called(item.request, item.tool, item.arguments, step)
    return [*judged, *_by_tool(item.tool, judged)]


async def unknown_tools(asker: Asker, item: UnknownToolItem) -> list[Judgement]:
    """A tool known by its description alone; none where none fits."""
    step = await asker.steps([user(item.request)], brought(item.tools)).take()
    if item.tool == _FINISH:
        right = bool(step.answer)
        named = (RIGHT_TOOL, EXACT, FITTED, "no tool fits: answers at once")
        return [Judgement(figure, right, item.request, _FINISH, step.written) for figure in named]
    judged = _called(item.request, item.tool, item.arguments, step)
    share = "few tools" if len(item.tools) <= 3 else "four and more tools"
    return [
        *judged,
        *(replace(one, figure=f"{share}: {one.figure}") for one in judged if one.figure in (RIGHT_TOOL, EXACT)),
    ]


async def follow_ups(asker: Asker, item: FollowUpItem) -> list[Judgement]:
    """A request that builds on earlier turns; how many of them are shown is the product's affair."""
    messages = [*({"role": said.role, "content": said.content} for said in item.messages), user(item.request)]
    judged = _called(item.request, item.tool, item.arguments, await asker.steps(messages, KNOWN_TOOLS).take())
    kind = "arithmetic" if item.tool == "calculator" else "another topic"
    return [*judged, *(replace(one, figure=f"{kind}: {one.figure}") for one in judged if one.figure == EXACT)]


def _called(request: str, tool: str, accepted: list[JsonObject] | list[dict[str, str]], step: Step) -> list[Judgement]:
    wanted = f"{tool} {' or '.join(map(shown, accepted))}"
    right = step.tool == tool
    exact = right and same_arguments(step.arguments, accepted)
    fitted = right and same_arguments(step.fitted, accepted)
    judged = [
        Judgement(RIGHT_TOOL, right, request, wanted, step.written),
        Judgement(EXACT, exact, request, wanted, step.written),
        Judgement(
            FITTED, fitted, request, wanted, f"{step.tool} {shown(step.fitted)}" if step.fitted else step.written
        ),
    ]
    if tool == "calculator":
        written = _text_of("expression", step.arguments)
        value = right and any(same_value(written, one["expression"]) for one in accepted)
        judged.append(Judgement("calculator: same value", exact or value, request, wanted, step.written))
    return judged


async def _program(item: CallItem, step: Step) -> list[Judgement]:
    wanted = f"{item.tool} that prints {' or '.join(map(repr, item.prints))}"
    right = step.tool == item.tool
    judged = [Judgement(RIGHT_TOOL, right, item.request, wanted, step.written)]
    for figure, arguments in ((EXACT, step.arguments), (FITTED, step.fitted)):
        code = _text_of("code", arguments) if right else ""
        printed, works = await _run(item, code) if code else ("", False)
        got = f"{step.written} printed {printed!r}" if printed else step.written
        judged.append(Judgement(figure, works, item.request, wanted, got))
    return judged


async def _run(item: CallItem, code: str) -> tuple[str, bool]:
    """Run a program; return what it printed (or complained), and whether that is accepted."""
    ran = await asyncio.to_thread(programs.run, code, item.files)
    plots = "*" not in item.prints or programs.draws(code)
    return ran.printed or ran.complaint, ran.ended_well and plots and same_output(ran.printed, item.prints)


def _text_of(argument: str, arguments: object) -> str:
    found = cast("JsonObject", arguments).get(argument) if isinstance(arguments, dict) else None
    return found if isinstance(found, str) else ""


def _by_tool(tool: str, judged: list[Judgement]) -> list[Judgement]:
    return [replace(one, figure=f"{tool}: {one.figure}") for one in judged if one.figure in (RIGHT_TOOL, EXACT)]
