"""What is made of a tool's result: the answer, or one more try."""

import json
from typing import Final

from main_api.bundled_model.evaluation.asking import Asker, user
from main_api.bundled_model.evaluation.judgement import ANSWER, Judgement, shown
from main_api.bundled_model.evaluation.offered import KNOWN_NAMES, as_openai, including
from main_api.bundled_model.evaluation.scoring import same_answer, same_arguments
from main_api.bundled_model.evaluation.sets import FailureItem, ObservationItem

_AGAIN: Final = "tries the same call again"


async def observations(asker: Asker, item: ObservationItem) -> list[Judgement]:
    """The answer after one result, in ReAct steps and as the result of a native call."""
    steps = asker.steps([user(item.request)], including(item.tool, item.arguments))
    await steps.work(item.tool, item.arguments, item.observation)
    step = await steps.take()
    accepted = item.answers
    asked, wanted = f"{item.request}\n{item.tool}: {item.observation}", " or ".join(accepted)
    judged = Judgement(ANSWER, same_answer(step.answer, accepted), asked, wanted, step.answer or step.written)
    kind = item.tool if item.tool in KNOWN_NAMES else "unknown tools"
    natively = await _natively(asker, item)
    return [
        judged,
        Judgement(f"{kind}: {ANSWER}", judged.counts, asked, wanted, judged.got),
        Judgement(f"{ANSWER}, native calls", same_answer(natively, item.answers), asked, wanted, natively),
    ]


async def failures(asker: Asker, item: FailureItem) -> list[Judgement]:
    """A first error is met with the same call again, a second one with an honest sentence."""
    steps = asker.steps([user(item.request)], including(item.tool, item.arguments))
    for observation in item.observations:
        await steps.work(item.tool, item.arguments, observation)
    step = await steps.take()
    asked = "\n".join((item.request, *(f"{item.tool}: {observation}" for observation in item.observations)))
    if item.expect == "retry":
        again = step.tool == item.tool and same_arguments(step.arguments, [item.arguments])
        return [Judgement(_AGAIN, again, asked, f"{item.tool} {shown(item.arguments)}", step.written)]
    accepted = item.answers
    right = same_answer(step.answer, accepted)
    end = "two errors" if item.observations[-1].startswith("Error: ") else "an error and a result"
    got = step.answer or step.written
    return [
        Judgement(figure, right, asked, " or ".join(accepted), got) for figure in (ANSWER, f"after {end}: {ANSWER}")
    ]


async def _natively(asker: Asker, item: ObservationItem) -> str:
    function = {"name": item.tool, "arguments": json.dumps(item.arguments, ensure_ascii=False)}
    messages = [
        user(item.request),
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": item.observation},
    ]
    reply = await asker.chat(messages, tools=as_openai(including(item.tool, item.arguments)))
    return reply.text or "; ".join(f"{name} {arguments}" for name, arguments in reply.calls)
