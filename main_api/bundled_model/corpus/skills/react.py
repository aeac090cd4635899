"""ReAct in JSON steps: one to three requests in a conversation, worked on with the tools that are offered."""

import json
from collections.abc import Iterator, Sequence
from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.ask import Ask
from main_api.bundled_model.corpus.conversation import (
    Conversation,
    Message,
    answer,
    as_json,
    earlier_answer,
    system,
    user,
)
from main_api.bundled_model.corpus.kinds import calculation
from main_api.bundled_model.corpus.language.phrases import Piece
from main_api.bundled_model.corpus.language.wording import message
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills.talk import out_of_scope, small_talk
from main_api.bundled_model.corpus.tool_use.acting import NO_TOOL, events, together
from main_api.bundled_model.corpus.tool_use.offer import Offer
from main_api.bundled_model.corpus.tool_use.parts import joined
from main_api.bundled_model.corpus.tool_use.requests import planned, worded

_READY = "I can answer now."


def conversation(rng: Random, words: Words) -> Conversation:
    """Return a conversation of one to three requests, some followed up on."""
    turns = rng.choices((1, 2, 3), (50, 32, 18))[0]
    requests = [planned(rng, words) for _ in range(turns)]
    needed = [ask for asks in requests for ask in asks]
    without = rng.choice(needed).kind if needed and rng.random() < 0.06 else None
    offer = Offer(rng, words, needed=needed, without=without)
    messages: list[Message] = [system(instructions.steps(rng, offer.tools))]
    for number, asks in enumerate(requests):
        plainly = number < turns - 1 and rng.random() < 0.4
        last = ""
        for turn in _run(rng, words, offer, asks):
            if not plainly:
                messages.append(turn)
            last = turn.content
            if plainly and turn.role == "user" and not turn.content.startswith("Observation: "):
                messages.append(turn)
        if plainly:
            messages.append(earlier_answer(_final(last)))
        if _is_number(asks) and rng.random() < 0.4:
            messages += _follow_up(rng, words, offer, asks[0], messages)
    return Conversation("react", messages)


def _run(rng: Random, words: Words, offer: Offer, asks: Sequence[Ask]) -> Iterator[Message]:
    if not asks:
        yield from _without_tools(rng, words)
        return
    text = worded(rng, asks[0]) if len(asks) == 1 else joined(rng, asks)
    yield user(text)
    yield from _work(rng, words, offer, asks, text)


def _work(rng: Random, words: Words, offer: Offer, asks: Sequence[Ask], text: str) -> Iterator[Message]:
    sentences: list[str] = []
    for number, ask in enumerate(asks):
        choice = offer.choose(ask, text)
        if choice is None:
            sentences.append(NO_TOOL)
            continue
        for event in events(rng, words, offer, ask, choice):
            thought = f"The tool {choice.tool.name} failed, so I try once more." if event.again else choice.thought
            if len(asks) > 1 and not event.again:
                thought = f"{'Next' if number else 'First'}: {thought}"
            step = {"thought": thought, "action": choice.tool.name, "action_input": choice.arguments}
            yield answer(as_json(step))
            yield user(f"Observation: {event.observation}")
            if event.says:
                sentences.append(event.says)
    thought = "No tool fits." if sentences == [NO_TOOL] * len(asks) else _READY
    yield answer(_finish(thought, together(sentences)))


def _without_tools(rng: Random, words: Words) -> Iterator[Message]:
    if rng.random() < 0.55:
        text, reply = small_talk(rng, words)
        yield user(text)
        yield answer(_finish("No tool is needed.", reply))
    else:
        yield user(out_of_scope(rng, words))
        yield answer(_finish("No tool fits.", NO_TOOL))


def _follow_up(rng: Random, words: Words, offer: Offer, ask: Ask, before: Sequence[Message]) -> list[Message]:
    """Go on with the number that was just found."""
    previous = _final(before[-1].content).removeprefix("The result is ").removesuffix(".")
    if not previous.replace(".", "", 1).replace("-", "", 1).isdigit():
        return []
    more: Ask = calculation.follow_up(rng, words, previous)
    if offer.choose(more, "") is None or offer.choose(ask, "") is None:
        return []
    text = message(rng, more.request if more.request else [Piece(previous, slot=True)])
    return [user(text), *_work(rng, words, offer, [more], text)]


def _is_number(asks: Sequence[Ask]) -> bool:
    return len(asks) == 1 and asks[0].kind == "calculation"


def _finish(thought: str, text: str) -> str:
    return as_json({"thought": thought, "action": "finish", "action_input": {"answer": text}})


def _final(step: str) -> str:
    """Return the answer of a finishing step."""
    _, found, rest = step.partition('"action": "finish", "action_input": {"answer": ')
    return json.loads(rest[:-2]) if found else step
