"""Plain conversation: small talk, and knowing what it cannot do."""

import asyncio
from typing import Final

from main_api.bundled_model.evaluation.asking import Asker, system, user
from main_api.bundled_model.evaluation.judgement import DECLINED, NO_PROMPT, PERSONA, Judgement
from main_api.bundled_model.evaluation.offered import KNOWN_TOOLS
from main_api.bundled_model.evaluation.scoring import DECLINE, declines, gives_up
from main_api.bundled_model.evaluation.sets import RequestItem, SmallTalkItem
from shared.tools_contract import JsonObject

_PERSONA: Final = system("You are a helpful assistant. Answer kindly and briefly.")
_WAYS: Final[tuple[tuple[str, tuple[JsonObject, ...]], ...]] = ((NO_PROMPT, ()), (PERSONA, (_PERSONA,)))


async def out_of_scope(asker: Asker, item: RequestItem) -> list[Judgement]:
    """What needs knowledge, an opinion or real writing is declined."""
    replies = await asyncio.gather(*(asker.chat([*before, user(item.request)]) for _, before in _WAYS))
    return [
        Judgement(f"{DECLINED}, {way}", declines(reply.text), item.request, f"{DECLINE} …", reply.text)
        for (way, _), reply in zip(_WAYS, replies, strict=True)
    ]


async def in_scope(asker: Asker, item: RequestItem) -> list[Judgement]:
    """What a tool can do, or small talk, is not declined. Counted is what was."""
    step = await asker.steps([user(item.request)], KNOWN_TOOLS).take()
    declined = bool(step.answer) and gives_up(step.answer)
    usable = step.tool is not None or bool(step.answer)
    return [
        Judgement(DECLINED, declined, item.request, "anything but a refusal", step.written),
        Judgement("a call or an answer", usable, item.request, "a call or an answer", step.written),
    ]


async def small_talk(asker: Asker, item: SmallTalkItem) -> list[Judgement]:
    """Greetings, names, thanks, repeating: the answer holds what it must."""
    messages: list[JsonObject] = [{"role": said.role, "content": said.content} for said in item.messages]
    replies = await asyncio.gather(*(asker.chat([*before, *messages]) for _, before in _WAYS))
    asked = "\n".join(f"{said.role}: {said.content}" for said in item.messages)
    return [
        Judgement(f"right, {way}", _holds(reply.text, item.contains), asked, " or ".join(item.contains), reply.text)
        for (way, _), reply in zip(_WAYS, replies, strict=True)
    ]


def _holds(answer: str, any_of: list[str]) -> bool:
    return any(text.casefold() in answer.casefold() for text in any_of)
