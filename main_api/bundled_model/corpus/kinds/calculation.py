"""Requests for arithmetic: written expressions, sums in words, small stories, and what follows on a result.

The section names of `phrases/calculation.txt` carry the expression that their phrases stand for, so that wording is
added there alone. What a result is, is computed by `calculations/arithmetic.py`.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from main_api.bundled_model.corpus.ask import Ask, Result, Tool
from main_api.bundled_model.corpus.calculations import written
from main_api.bundled_model.corpus.calculations.arithmetic import value_of
from main_api.bundled_model.corpus.language.inflection import gerund
from main_api.bundled_model.corpus.language.numbers import ordinal_ending
from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.wording import capitalised
from main_api.bundled_model.corpus.language.words import Words

_FILE = "calculation"
_WRITTEN = 0.36
_STYLED = 0.85
_CONTEXT = 0.08
_FORMS = {"noun": 5, "verb": 4, "ask": 2, "problem": 2}
_FREQUENT = {
    "a + b": 6,
    "a - b": 6,
    "a * b": 7,
    "a / b": 6,
    "a% of b": 4,
    "sqrt(a)": 3,
    "a ** b": 3,
    "a ** 2": 2,
    "a / 2": 2,
    "2 * a": 2,
    "a ** 3": 1,
}
_FOLLOWS = {
    "p * b": 6,
    "p + b": 6,
    "p - b": 6,
    "p / b": 5,
    "p / 2": 3,
    "2 * p": 3,
    "p ** 2": 3,
    "sqrt(p)": 2,
    "b% of p": 3,
}
_LETTER = re.compile(r"\b[abcdp](?=\b|%)")
_SLOT = "\0"
_TRIES = 20
_GERUNDS = 0.12
_POWERS = ("2", "3", "3", "4", "4", "5", "6", "7", "8", "9", "10", "12")
_BASES = ("2", "2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "15", "20", "1.5")


def tool(rng: Random) -> Tool:
    """Return the calculator under one of its names."""
    say = phrases(_FILE).say
    return Tool(say(rng, "tool.name"), (say(rng, "tool.argument"),), say(rng, "tool.description"))


def ask(rng: Random, words: Words) -> Ask:
    """Return a request for a calculation that has a result."""
    if rng.random() < _WRITTEN:
        typed, expression = written.expression(rng)
        return _of_noun(rng, (Piece(typed, slot=True),), expression)
    return _in_words(rng)


def expression(rng: Random) -> tuple[Sequence[Piece], str]:
    """Return a calculation as a noun phrase, and its expression."""
    if rng.random() < _WRITTEN:
        typed, written_out = written.expression(rng)
        return (Piece(typed, slot=True),), written_out
    templates = _sections("noun")
    template = rng.choices(templates, [_FREQUENT.get(name, 0.5) for name in templates])[0]
    slots, filled = _numbers(rng, template)
    return (_pieces(rng, f"noun: {template}", slots), filled) if filled else ((Piece("8 * 4", slot=True),), "8 * 4")


def follow_up(rng: Random, words: Words, previous: str) -> Ask:
    """Return a second request about the result `previous`; its clause says "it" or "that" for it."""
    sections = _sections("follow")
    template = rng.choices(sections, [_FOLLOWS.get(name, 1) for name in sections])[0]
    slots, expression = _numbers(rng, template, previous)
    if not expression:
        template = "p + b"
        slots, expression = {"b": "2"}, f"{previous} + 2"
    clause = _pieces(rng, f"then: {template}", slots) if f"then: {template}" in phrases(_FILE).sections else ()
    if clause and rng.random() < 0.2:
        request = _framed(rng, "frame.verb", clause)
    else:
        request = _pieces(rng, f"follow: {template}", slots)
    return Ask("calculation", request, clause, (expression,), expression)


def result(rng: Random, words: Words, ask: Ask, tool: Tool) -> Result:
    """Return what the product's calculator says to the expression."""
    value = value_of(ask.values[0])
    return Result(value, f"The result is {value}.")


def _in_words(rng: Random) -> Ask:
    templates = _templates()
    template = rng.choices(templates, [_FREQUENT.get(name, 0.5) for name in templates])[0]
    forms = [form for form in _FORMS if template in _sections(form)]
    form = rng.choices(forms, [_FORMS[name] for name in forms])[0]
    slots, expression = _numbers(rng, template, whole=form == "problem" or (form != "noun" and template == "a / b"))
    if not expression:
        template, form, slots, expression = "a * b", "noun", {"a": "8", "b": "4"}, "8 * 4"
    pieces = _pieces(rng, f"{form}: {template}", slots)
    if form == "noun":
        return _of_noun(rng, pieces, expression)
    if form == "verb":
        request = _in_context(rng, _framed_verb(rng, pieces, template))
        return Ask("calculation", request, pieces, (expression,), expression)
    other = "verb" if template in _sections("verb") and rng.random() < 0.5 else "noun"
    clause = _pieces(rng, f"{other}: {template}", slots)
    clause = clause if other == "verb" else _framed(rng, "frame.clause", clause)
    return Ask("calculation", _in_context(rng, pieces), clause, (expression,), expression)


def _of_noun(rng: Random, pieces: Sequence[Piece], expression: str) -> Ask:
    request = _in_context(rng, _framed(rng, "frame", pieces))
    return Ask("calculation", request, _framed(rng, "frame.clause", pieces), (expression,), expression)


def _framed(rng: Random, section: str, inner: Sequence[Piece]) -> Sequence[Piece]:
    pieces: list[Piece] = []
    for piece in phrases(_FILE).pieces(rng, section, x=_SLOT, v=_SLOT, ving=_SLOT):
        pieces += inner if piece.text == _SLOT else (piece,)
    first = pieces[0]
    if section != "frame.clause" and not first.slot and first.text[0].islower() and rng.random() < _STYLED:
        return capitalised(pieces)
    return pieces


def _framed_verb(rng: Random, pieces: Sequence[Piece], template: str) -> Sequence[Piece]:
    single = template in _FREQUENT and not pieces[0].text.startswith(("take", "start")) and " it" not in pieces[-1].text
    if single and rng.random() < _GERUNDS:
        return _framed(rng, "frame.doing", gerund(pieces))
    return _framed(rng, "frame.verb", pieces)


def _in_context(rng: Random, pieces: Sequence[Piece]) -> Sequence[Piece]:
    chance = rng.random()
    if chance < _CONTEXT:
        return [Piece(phrases(_FILE).say(rng, "before") + " "), *pieces]
    if chance < 2 * _CONTEXT:
        end = "" if not pieces[-1].slot and pieces[-1].text[-1] in ".?!=" else "."
        return [*pieces, Piece(f"{end} {phrases(_FILE).say(rng, 'after')}")]
    return pieces


def _pieces(rng: Random, section: str, slots: dict[str, str]) -> Sequence[Piece]:
    pieces = phrases(_FILE).pieces(rng, section, **slots)
    for index, piece in enumerate(pieces[1:], 1):
        if not piece.slot and f"{piece.text} ".startswith("th "):
            pieces[index] = Piece(ordinal_ending(pieces[index - 1].text) + piece.text[2:])
    return pieces


def _numbers(rng: Random, template: str, previous: str = "", *, whole: bool = False) -> tuple[dict[str, str], str]:
    """Return what is typed for each letter of a template and the expression, which is empty if none has a value."""
    letters = [letter for letter in "abcd" if re.search(rf"\b{letter}\b", template)]
    style = written.style(rng)
    if whole or template == "p / b":
        style = replace(style, decimals=0)
    for _ in range(_TRIES):
        numbers = {letter: style.number(rng) for letter in letters}
        _fit(rng, template, numbers, style)
        expression = _filled(template, {letter: value for letter, (_, value) in numbers.items()} | {"p": previous})
        if value_of(expression):
            return {letter: typed for letter, (typed, _) in numbers.items()}, expression
    return {}, ""


def _fit(rng: Random, template: str, numbers: dict[str, tuple[str, str]], style: written.Style) -> None:
    if "** b" in template and "b **" not in template:
        power = rng.choice(_POWERS)
        numbers["b"] = (power, power)
        if power not in {"2", "3"}:
            base = rng.choice(_BASES)
            numbers["a"] = (base, base)
    if "% of" in template:
        letter = template[0]
        percent = rng.choice((5, 10, 12, 15, 20, 25, 30, 40, 50, 75, rng.randint(1, 99), f"{rng.randint(1, 9)}.5"))
        numbers[letter] = (str(percent), str(percent))
    if template in {"a / b", "a / b + c"} and rng.random() < 0.6:
        product = rng.randint(2, 12) * int(float(numbers["b"][1]) or 1)
        numbers["a"] = style.written(rng, product)
        numbers["b"] = style.written(rng, int(float(numbers["b"][1]) or 1))
    if template.startswith("sqrt(a)") and rng.random() < 0.7:
        numbers["a"] = style.written(rng, rng.randint(2, 40) ** 2)
    if "a - b" in template and float(numbers["a"][1]) < float(numbers["b"][1]):
        numbers["a"], numbers["b"] = numbers["b"], numbers["a"]


def _filled(template: str, values: dict[str, str]) -> str:
    if values.get("p", "").startswith("-") and template.startswith("p **"):
        values = values | {"p": f"({values['p']})"}
    return _LETTER.sub(lambda match: values[match[0]], template)


@functools.cache
def _sections(form: str) -> list[str]:
    start = f"{form}: "
    return [name.removeprefix(start) for name in phrases(_FILE).sections if name.startswith(start)]


@functools.cache
def _templates() -> list[str]:
    return list(dict.fromkeys(name for form in _FORMS for name in _sections(form)))
