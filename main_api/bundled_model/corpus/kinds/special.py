"""Requests for tools that are not the standing ones: known domains, and tools made up on the fly.

A made-up tool ("lookup_zorbit: Look up the status of a zorbit by its code.") can only be chosen by what its
description says, which is what a model must learn to use tools that it has never seen.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.ask import Ask, Result, Tool
from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.wording import capitalised
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.special_tools.book import Spec, generic, like_standing, standing
from main_api.bundled_model.corpus.special_tools.rendering import listed_nouns, made_up_nouns, rendered
from main_api.bundled_model.corpus.special_tools.values import fills, is_free_text, value

_SIBLING = 0.12
_GENERIC = 0.36
_LOWER = 0.08
_NAMED = 0.03
_DAY_AFTER = "the day after"
_WITHOUT_ON = ("today", "tomorrow", "tonight", "next", "this", _DAY_AFTER)
_NO_ON_AFTER = ("for", "of", "on", "to", "from", "my", "is", "not", "for:", "after", "be")


@dataclass(frozen=True, slots=True)
class SpecialAsk(Ask):
    """Remembers where it comes from, for its result and for the tools that may stand beside its own."""

    spec: Spec | None = None
    noun: str = ""
    filled: tuple[tuple[str, str], ...] = ()


def tool(rng: Random) -> Tool:
    """Return a tool at random, under one of its names."""
    if rng.random() < _GENERIC:
        nouns = listed_nouns(rng)
        return rendered(rng, rng.choice(generic()), nouns)[0]
    return rendered(rng, rng.choice(standing()), {})[0]


def ask(rng: Random, words: Words) -> Ask:
    """Return a request for a special tool, which its `tool` is."""
    if rng.random() < _GENERIC:
        spec = rng.choice(generic())
        nouns = made_up_nouns(rng, words)
    else:
        spec = rng.choice(standing())
        nouns = {}
    offered, arguments = rendered(rng, spec, nouns)
    filled = _filled(rng, words, spec)
    slots = {**nouns, **filled}
    values = {argument.slot: _bare(filled[argument.slot], argument.kind) for argument in arguments}
    clause = _quoted(rng, _dated(rng, spec, slots, spec.phrases.pieces(rng, "clause", **slots)))
    return SpecialAsk(
        kind="special",
        request=_request(rng, spec, slots, clause, offered.name),
        clause=clause,
        values=tuple(values.values()),
        subject=max(values.values(), key=len),
        tool=offered,
        spec=spec,
        noun=nouns.get("noun", ""),
        filled=tuple(slots.items()),
    )


def result(rng: Random, words: Words, ask: Ask, tool: Tool) -> Result:
    """Return one line that the tool might answer."""
    extra = fills(rng, words)
    if isinstance(ask, SpecialAsk) and ask.spec and "observation" in ask.spec.phrases.sections and rng.random() < 0.7:
        observation = ask.spec.phrases.say(rng, "observation", **{**extra, **dict(ask.filled)})
    else:
        observation = phrases("special_observations").say(rng, "any", **{**extra, "value": rng.choice(ask.values)})
    return Result(observation, f"The tool {tool.name} says: {observation}")


def distractors(rng: Random, words: Words, ask: Ask, count: int) -> list[Tool]:
    """Return other tools with names of their own: now and then a sibling of the same domain, otherwise none of its
    domain nor of one that is much like it."""
    own = ask.spec if isinstance(ask, SpecialAsk) else None
    filled = dict(ask.filled) if isinstance(ask, SpecialAsk) else {}
    about = {filled[slot] for slot in ("noun", "thing", "attribute") if slot in filled}
    unfit = like_standing(ask.kind)
    found: list[Tool] = []
    names = [ask.tool.name.lower()] if ask.tool else []
    while len(found) < count:
        made_up = rng.random() < (0.6 if own and own.generic else _GENERIC)
        other = _other_made_up(rng, words, own, unfit, about) if made_up else _other(rng, own, unfit)
        if other.name.lower() not in names:
            names.append(other.name.lower())
            found.append(other)
    return found


def _other(rng: Random, own: Spec | None, unfit: Sequence[str]) -> Tool:
    if own is not None and rng.random() < _SIBLING:
        siblings = [spec for spec in standing() if spec.domain == own.domain and spec is not own]
        if siblings:
            return rendered(rng, rng.choice(siblings), {})[0]
    while True:
        spec = rng.choice(standing())
        alike = own is not None and (spec.domain in (own.domain, *own.near) or own.domain in spec.near)
        if not alike and spec.domain not in unfit:
            return rendered(rng, spec, {})[0]


def _other_made_up(rng: Random, words: Words, own: Spec | None, unfit: Sequence[str], about: Collection[str]) -> Tool:
    """Return a made-up tool about other things; often the very tool that is asked for, but for what it is about."""
    while True:
        nouns = made_up_nouns(rng, words)
        spec = own if own and own.generic and rng.random() < 0.3 else rng.choice(generic())
        if spec.domain not in unfit and not any(nouns[slot] in about for slot in ("noun", "thing", "attribute")):
            return rendered(rng, spec, nouns)[0]


def _filled(rng: Random, words: Words, spec: Spec) -> dict[str, str]:
    filled: dict[str, str] = {}
    for argument in spec.arguments:
        chosen = value(rng, words, argument.kind)
        while chosen in filled.values():
            chosen = value(rng, words, argument.kind)
        filled[argument.slot] = chosen
    return {slot: text.lower() for slot, text in filled.items()} if rng.random() < _LOWER else filled


def _request(rng: Random, spec: Spec, slots: Mapping[str, str], clause: Sequence[Piece], name: str) -> Sequence[Piece]:
    """Return a whole message: a request of the file, or the clause as a sentence; seldom with a sentence around it."""
    if rng.random() < _NAMED:
        verb = rng.choice(
            ("Use", "Call", "Run", "Use the tool", "Please use", "Take", "With the help of", "Could you use")
        )
        return [Piece(f"{verb} "), Piece(name, slot=True), Piece(", " if verb.startswith("With") else " to "), *clause]
    whole = rng.random() < 0.7
    request = _sentence(rng, clause)
    if whole:
        request = _quoted(rng, _dated(rng, spec, slots, spec.phrases.pieces(rng, "request", **slots)))
    roll = rng.random()
    if roll < 0.05 and not request[0].slot:
        return [Piece(phrases("special_observations").say(rng, "before") + " "), *request]
    free = any(is_free_text(argument.kind) for argument in spec.arguments)
    if roll > 0.95 and not free and not request[-1].slot and request[-1].text[-1] in ".?!":
        return [*request, Piece(" " + phrases("special_observations").say(rng, "after"))]
    return request


def _bare(value: str, kind: str) -> str:
    """Return a value as an argument: "the kitchen" is the kitchen in a request and `kitchen` in a call."""
    whole = is_free_text(kind) or value.startswith(_DAY_AFTER)
    return value if whole else value.removeprefix("the ")


def _dated(rng: Random, spec: Spec, slots: Mapping[str, str], pieces: Sequence[Piece]) -> Sequence[Piece]:
    """Say "in Paris on Friday" for "in Paris Friday": an "on" before a day that takes one, where there is room."""
    days = [slots[argument.slot] for argument in spec.arguments if argument.kind in ("day", "moment")]
    if not days or days[0].lower().startswith(_WITHOUT_ON) or rng.random() < 0.3:
        return pieces
    dated: list[Piece] = []
    for piece in pieces:
        before = dated[-1].text if dated else "for "
        roomy = before[-1] == " " and " ".join(before.split()).rpartition(" ")[2] not in _NO_ON_AFTER
        if piece.slot and piece.text == days[0] and roomy:
            dated.append(Piece("on "))
        dated.append(piece)
    return dated


def _quoted(rng: Random, pieces: Sequence[Piece]) -> Sequence[Piece]:
    """Use other quotation marks now and then."""
    if rng.random() < 0.75 or any('"' in piece.text for piece in pieces if piece.slot):
        return pieces
    opening, closing = rng.choice(("''", "''", "“”", "«»"))
    quoted: list[Piece] = []
    marks = 0
    for piece in pieces:
        text = piece.text
        while not piece.slot and '"' in text:
            text = text.replace('"', closing if marks % 2 else opening, 1)
            marks += 1
        quoted.append(Piece(text, piece.slot))
    return [piece for piece in quoted if piece.text]


def _sentence(rng: Random, clause: Sequence[Piece]) -> Sequence[Piece]:
    end = rng.choices((".", "", "!"), (6, 4, 1))[0]
    return [*capitalised(clause), *([Piece(end)] if end else [])]
