"""Plans: which tool each part of a request needs, in order, and which earlier results it uses."""

from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.conversation import Conversation, Message, answer, as_json, system, user
from main_api.bundled_model.corpus.kinds import KINDS
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.tool_use.offer import Offer
from main_api.bundled_model.corpus.tool_use.parts import Parts, parts


def conversation(rng: Random, words: Words) -> Conversation:
    """Return one plan, sometimes a second one under the same prompt."""
    wanted = [
        parts(rng, words, rng.choices((1, 2, 3, 4, 5), (6, 34, 36, 14, 10))[0])
        for _ in range(rng.choices((1, 2), (6, 4))[0])
    ]
    needed = [part.ask or KINDS[part.kind].ask(rng, words) for request in wanted for part in request.parts]
    offer = Offer(rng, words, needed=needed)
    messages: list[Message] = [system(instructions.plan(rng, offer.tools))]
    for request in wanted:
        messages += [user(request.text), answer(as_json({"steps": _steps(request, offer)}))]
    return Conversation("plan", messages)


def _steps(request: Parts, offer: Offer) -> list[dict[str, object]]:
    return [
        {"tool": offer.tool_for(part.kind, part.ask).name, "input": part.text, "needs": list(part.needs)}
        for part in request.parts
    ]
