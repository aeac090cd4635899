"""Who answers a request: the chat, one tool, or a plan of several steps."""

from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.ask import KindName
from main_api.bundled_model.corpus.conversation import Conversation, answer, as_json, system, user
from main_api.bundled_model.corpus.kinds import KINDS
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import capital
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills.talk import out_of_scope, small_talk
from main_api.bundled_model.corpus.tool_use.parts import joined, parts
from main_api.bundled_model.corpus.tool_use.requests import some_ask, worded

_REASONS = {
    "chat": "No tool is needed.",
    "react": "One tool is needed.",
    "plan_execute": "There are several parts.",
}
_WEIGHTS = (30, 42, 28)
_KINDS: tuple[KindName, ...] = ("web", "documents", "calculation", "code", "slides", "special")
_KIND_WEIGHTS = (24, 20, 18, 18, 9, 14)
_BESIDE = 0.12
_OF_TWO = 0.65


def conversation(rng: Random, words: Words) -> Conversation:
    """Return a request and who answers it."""
    agent = rng.choices(tuple(_REASONS), _WEIGHTS)[0]
    match agent:
        case "chat":
            text = _talk(rng, words) if rng.random() < 0.9 else f"{_ended(_talk(rng, words))} {_talk(rng, words)}"
        case "react":
            text = _one(rng, words)
        case _:
            text = _several(rng, words)
    messages = [system(instructions.plain(rng, "router")), user(text)]
    return Conversation("router", [*messages, answer(as_json({"reason": _REASONS[agent], "agent": agent}))])


def _talk(rng: Random, words: Words) -> str:
    return small_talk(rng, words)[0] if rng.random() < 0.5 else out_of_scope(rng, words)


def _one(rng: Random, words: Words) -> str:
    """Return one request, sometimes beside a sentence that asks for nothing."""
    ask = KINDS[rng.choices(_KINDS, _KIND_WEIGHTS)[0]].ask(rng, words)
    text = worded(rng, ask)
    return _beside(rng, words, text) if rng.random() < _BESIDE else text


def _several(rng: Random, words: Words) -> str:
    count = 2 if rng.random() < _OF_TWO else rng.choice((3, 3, 4, 5))
    if rng.random() < 0.25:
        return joined(rng, [some_ask(rng, words) for _ in range(count)])
    return parts(rng, words, count).text


def _beside(rng: Random, words: Words, text: str) -> str:
    """Put a sentence before or after `text` that asks for nothing more."""
    roll = rng.random()
    if roll < 0.6:
        before = phrases("router").say(rng, "before") if roll < 0.42 else _ended(small_talk(rng, words)[0])
        return f"{before} {capital(text)}"
    return f"{_ended(text)} {phrases('router').say(rng, 'after')}"


def _ended(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
