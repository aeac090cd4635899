"""Chat without tools: small talk has fixed answers, what was said is remembered, and everything else is declined."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from main_api.bundled_model.corpus.ask import KindName
from main_api.bundled_model.corpus.conversation import Conversation, Message, answer, system, user
from main_api.bundled_model.corpus.kinds import KINDS
from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.topics import filled, topic, value
from main_api.bundled_model.corpus.language.wording import capital, capitalised, framed, message
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.tool_use.requests import worded

DECLINE = "I am a small built-in model and cannot answer that by myself. Connect a bigger model, or let me use a tool."
_SORRY = "I am sorry that I was no help."
ANSWERS: Mapping[str, str] = {
    "greeting": "Hello! How can I help you?",
    "how": "I am fine, thank you. How can I help you?",
    "identity": (
        "I am Twinport, the small built-in model. I can pick tools, calculate and search with them, but I know nothing "
        "about the world by myself."
    ),
    "ability": (
        "I can search the web and your documents, calculate, make slides and run Python code, as far as these tools "
        "are connected."
    ),
    "bigger": "Put a GGUF file into data/models, run Ollama, or set a provider's key. Then choose that model.",
    "thanks": "You are welcome!",
    "bye": "Goodbye!",
    "praise": "Thank you!",
    "sorry": "No problem.",
    "yes": "All right. What shall I do?",
    "no": "All right.",
    "ok": "All right.",
    "bad": _SORRY,
    "wishes": "Thank you, the same to you!",
}
"""The answer to each kind of small talk: the sections of `phrases/talk.txt`."""
_SMALL_TALK = {
    "greeting": 9,
    "identity": 9,
    "ability": 6,
    "thanks": 6,
    "bye": 5,
    "how": 5,
    "bigger": 4,
    "praise": 3,
    "bad": 3,
    "ok": 3,
    "sorry": 2,
    "yes": 1.5,
    "no": 1.5,
    "wishes": 1,
}
_OUT_OF_SCOPE = {"opinion": 6, "feeling": 6, "writing": 6, "advice": 4, "joke": 4, "role": 3, "prediction": 2}
_DECLINED = {
    **_OUT_OF_SCOPE,
    "world": 30,
    "action": 6,
    "translation": 4,
    "sum": 3,
    "program": 3,
    "image": 3,
    "law and health": 3,
    "tips": 2,
    "gossip": 2,
    "language": 1.5,
}
_FOR_TOOLS: tuple[KindName, ...] = ("web", "web", "web", "documents", "calculation", "code", "slides", "special")
_ORDER = re.compile(
    "(write|compose|create|draft|make|invent|pen|tell|read|give|show|rewrite|rephrase|reword|paraphrase|shorten|improve|"
    "correct|proofread|polish|fix|edit|translate|say|sing|recite|imitate|pretend|imagine|act|behave|be|become|predict|"
    "guess|draw|paint|sketch|generate|design|describe|explain|define|name|list|compare|summarise|summarize|recommend|"
    "suggest|entertain|amuse|cheer|inspire|surprise|plan|organise|brainstorm|convince|persuade|discuss|debate|rate|"
    "judge|review|search|look|find|set|send|call|book|turn|play|open|remind|add|navigate|solve|calculate|debug|print) "
)
_SHOUTED = 0.015
_OPENINGS = ("Hi", "Hello", "Hey", "Ok", "Hi there", "Good morning", "So")
_POLITE_END = re.compile(r"(,? please)?[.!?]?$")


@dataclass(slots=True)
class _Memory:
    """What the user has told in the conversation."""

    name: str = ""
    kept: dict[str, str] = field(default_factory=dict[str, str])


def conversation(rng: Random, words: Words) -> Conversation:
    """Return a chat of one to four turns."""
    messages: list[Message] = []
    if rng.random() >= 0.35:
        messages.append(system(phrases("instructions").say(rng, "chat")))
    memory = _Memory()
    reply = ""
    for _ in range(rng.choices((1, 2, 3, 4), (45, 25, 18, 12))[0]):
        if reply and rng.random() < 0.04:
            text = _typed(rng, phrases("talk").say(rng, "again"))
        else:
            text, reply = _turn(rng, words, memory)
        messages += [user(text), answer(reply)]
    return Conversation("talk", messages)


def small_talk(rng: Random, words: Words) -> tuple[str, str]:
    """Return a message for which no tool is needed, and its answer."""
    if rng.random() < 0.05:
        return _named(rng, words, _Memory())
    section = rng.choices(tuple(_SMALL_TALK), tuple(_SMALL_TALK.values()))[0]
    text = filled(rng, words, "talk", section)
    if section in ("identity", "ability", "bigger") and rng.random() < 0.12:
        text = f"{rng.choice(_OPENINGS)}{rng.choice((', ', '! ', '. ', ' '))}{text}"
    return _typed(rng, text), ANSWERS[section]


def out_of_scope(rng: Random, words: Words) -> str:
    """Return a request that no standing tool fits and that does not ask for knowledge of the world."""
    return _declined(rng, words, rng.choices(tuple(_OUT_OF_SCOPE), tuple(_OUT_OF_SCOPE.values()))[0])


def _turn(rng: Random, words: Words, memory: _Memory) -> tuple[str, str]:
    roll = rng.random()
    if memory.name and roll < 0.3:
        return _name_asked(rng, memory)
    if memory.kept and roll < 0.4:
        return _kept_asked(rng, words, memory)
    roll = rng.random()
    if roll < 0.4:
        return small_talk(rng, words)
    if roll < 0.45:
        return _named(rng, words, memory)
    if roll < 0.47:
        return _name_asked(rng, memory)
    if roll < 0.51:
        return _repeated(rng, words)
    if roll < 0.54:
        return _kept(rng, words, memory)
    if roll < 0.555:
        return _kept_asked(rng, words, memory)
    if roll < 0.63:
        ask = KINDS[rng.choice(_FOR_TOOLS)].ask(rng, words)
        return worded(rng, ask), DECLINE
    return _declined(rng, words, rng.choices(tuple(_DECLINED), tuple(_DECLINED.values()))[0]), DECLINE


def _declined(rng: Random, words: Words, section: str) -> str:
    text = filled(rng, words, "decline", section)
    if _ORDER.match(text) and rng.random() < 0.5:
        return message(rng, framed(rng, [Piece(_POLITE_END.sub("", text))]))
    roll = rng.random()
    if roll < 0.06:
        text = f"{phrases('router').say(rng, 'before')} {capital(text)}"
    elif roll < 0.12:
        opening = capital(filled(rng, words, "talk", rng.choice(("greeting", "thanks", "ok", "sorry"))).rstrip(".!?"))
        text = f"{opening}{rng.choice(('. ', '! ', ', ', ', but '))}{text}"
    return _typed(rng, text)


def _named(rng: Random, words: Words, memory: _Memory) -> tuple[str, str]:
    memory.name = words.name(rng) if rng.random() < 0.6 else value(rng, words, "person")
    if rng.random() < 0.1:
        memory.name = memory.name.lower()
    text = message(rng, _sentence(rng, phrases("talk").pieces(rng, "name given", name=memory.name)))
    return text, f"Nice to meet you, {memory.name}!"


def _name_asked(rng: Random, memory: _Memory) -> tuple[str, str]:
    known = f"Your name is {memory.name}." if memory.name else "You have not told me your name."
    return _typed(rng, phrases("talk").say(rng, "name asked")), known


def _repeated(rng: Random, words: Words) -> tuple[str, str]:
    match rng.randrange(4):
        case 0:
            text = words.name(rng)
        case 1:
            text = topic(rng, words)
        case 2:
            text = capital(f"{topic(rng, words)} {words.common(rng)} {words.phrase(rng, longest=4)}{rng.choice('.!?')}")
        case _:
            text = words.phrase(rng, longest=7)
    return message(rng, _sentence(rng, phrases("talk").pieces(rng, "repeat", text=text))), text


def _kept(rng: Random, words: Words, memory: _Memory) -> tuple[str, str]:
    thing = phrases("talk").say(rng, "thing")
    kept = rng.choice((words.number, words.name, words.rare))(rng)
    memory.kept[thing] = kept
    text = message(rng, _sentence(rng, phrases("talk").pieces(rng, "keep", thing=thing, value=kept)))
    return text, f"I will remember that your {thing} is {kept}."


def _kept_asked(rng: Random, words: Words, memory: _Memory) -> tuple[str, str]:
    thing = rng.choice(list(memory.kept)) if memory.kept and rng.random() < 0.85 else phrases("talk").say(rng, "thing")
    known = f"Your {thing} is {memory.kept[thing]}." if thing in memory.kept else "You have not told me that."
    return message(rng, _sentence(rng, phrases("talk").pieces(rng, "kept asked", thing=thing))), known


def _typed(rng: Random, text: str) -> str:
    if rng.random() < _SHOUTED:
        text = text.upper()
    return message(rng, _sentence(rng, [Piece(text)]))


def _sentence(rng: Random, pieces: list[Piece]) -> list[Piece]:
    """Begin with a capital letter, mostly."""
    return capitalised(pieces) if rng.random() < 0.7 else pieces
