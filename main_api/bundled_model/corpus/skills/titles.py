"""Titles of conversations: what the request is about, copied, in at most six words."""

import re
from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.ask import Ask, KindName
from main_api.bundled_model.corpus.conversation import Conversation, answer, system, user
from main_api.bundled_model.corpus.kinds import KINDS
from main_api.bundled_model.corpus.language.phrases import Piece
from main_api.bundled_model.corpus.language.topics import filled, filled_pieces, topic
from main_api.bundled_model.corpus.language.wording import capital, capitalised, framed, message
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills.talk import ANSWERS, DECLINE
from main_api.bundled_model.corpus.tool_use.acting import NO_TOOL
from main_api.bundled_model.corpus.tool_use.failures import error, failed
from main_api.bundled_model.corpus.tool_use.parts import joined
from main_api.bundled_model.corpus.tool_use.requests import some_ask, worded

_LONGEST = 6
_KINDS: tuple[KindName, ...] = ("web", "documents", "calculation", "code", "slides", "special")
_WEIGHTS = (20, 18, 14, 14, 12, 8)
_NAMED: tuple[KindName, ...] = ("web", "documents", "calculation", "slides", "special")
_EXCERPT = 400
_QUESTION = re.compile(
    "(who|what|when|where|why|how|which|whose|is|are|was|were|do|does|did|can|could|may|must|should|will|would|has|have|"
    "had|if|whether|in|at|to) ",
    re.IGNORECASE,
)
_TALK = {
    "greeting": "Greeting",
    "how": "Greeting",
    "identity": "About Twinport",
    "ability": "What Twinport can do",
    "bigger": "Connecting a bigger model",
    "thanks": "Thanks",
    "bye": "Goodbye",
}
_ABOUT_TOPICS = ("world", "world", "opinion", "writing", "image", "action")


def conversation(rng: Random, words: Words) -> Conversation:
    """Return an exchange and its title."""
    exchange = rng.choices((_asked, _talked, _several), (75, 14, 11))[0]
    request, reply, title = exchange(rng, words)
    text = f"User: {_excerpt(request)}\nAssistant: {_excerpt(reply)}"
    return Conversation("titles", [system(instructions.plain(rng, "title")), user(text), answer(title)])


def shortened(subject: str) -> str:
    """Return the first words of `subject` as they stand; the product gives a title its capital."""
    return " ".join(subject.replace('"', "").split()[:_LONGEST]).rstrip(",;:.?!")


def _asked(rng: Random, words: Words) -> tuple[str, str, str]:
    """Return a request to a tool, its answer and the title."""
    kind = rng.choices(_KINDS, _WEIGHTS)[0]
    module = KINDS[kind]
    if kind == "code":
        ask = some_ask(rng, words, kinds=("code",))
        clause = message(rng, ask.clause)
        request, title = _order(rng, clause), shortened(clause)
    else:
        ask = module.ask(rng, words)
        request = worded(rng, ask)
        title = _title(ask, request)
    roll = rng.random()
    if roll < 0.08:
        reply = NO_TOOL
    elif roll < 0.16:
        reply = DECLINE
    else:
        tool = ask.tool or module.tool(rng)
        reply = failed(tool.name, error(rng)) if roll < 0.24 else module.result(rng, words, ask, tool).answer
    return request, reply, title


def _order(rng: Random, clause: str) -> str:
    """Return a message around `clause` as it was typed. What a program does has no shorter name than its own words."""
    request = message(rng, framed(rng, [Piece(clause, slot=True)]))
    return capital(request) if rng.random() < 0.7 else request


def _several(rng: Random, words: Words) -> tuple[str, str, str]:
    """Return a request of two or three parts, its answer, and the title of the first part."""
    asks = [some_ask(rng, words, kinds=_NAMED), *(some_ask(rng, words) for _ in range(rng.choice((1, 1, 2))))]
    request = joined(rng, asks)
    replies = [KINDS[ask.kind].result(rng, words, ask, ask.tool or KINDS[ask.kind].tool(rng)).answer for ask in asks]
    return request, " ".join(replies), _title(asks[0], request)


def _excerpt(text: str) -> str:
    """Return the beginning of `text` on one line, as the product shows it."""
    return " ".join(text.split())[:_EXCERPT]


def _title(ask: Ask, request: str) -> str:
    match ask.kind:
        case "calculation":
            return ask.subject
        case "slides":
            return f"Presentation: {' '.join(ask.values[0].split()[: _LONGEST - 1])}"
        case "web" | "documents":
            return shortened(_sought(ask, request))
        case _:
            return shortened(ask.subject)


def _sought(ask: Ask, request: str) -> str:
    """Return the topic: what is searched for, or what it is about where that is a question or long."""
    query = ask.values[0]
    plain = not _QUESTION.match(query) and len(query.split()) <= _LONGEST
    return ask.subject if not plain and ask.subject in request else query


def _talked(rng: Random, words: Words) -> tuple[str, str, str]:
    """Return small talk, or a request that is declined, and the title."""
    if rng.random() < 0.45:
        section = rng.choice(list(_TALK))
        return message(rng, [Piece(filled(rng, words, "talk", section))]), ANSWERS[section], _TALK[section]
    about = topic(rng, words)
    pieces: list[Piece] = []
    while not any(piece.slot and piece.text == about for piece in pieces):
        pieces = filled_pieces(rng, words, "decline", rng.choice(_ABOUT_TOPICS), topic=about)
    return message(rng, capitalised(pieces)), DECLINE, shortened(about)
