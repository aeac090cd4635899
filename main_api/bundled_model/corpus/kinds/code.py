"""Requests that need a program: lists of numbers, number series, texts, dates, CSV files and plots.

Every task has one canonical program (`programs/of_*.py`), so that the code is a function of the request. The wording
is in `phrases/code*.txt`: frames in `code.txt`, the tasks in the others.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.ask import Ask, Result, Tool
from main_api.bundled_model.corpus.kinds import calculation
from main_api.bundled_model.corpus.language.inflection import gerund, has_and, third_person
from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.wording import capitalised
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.programs.file_inputs import FILE_INPUTS
from main_api.bundled_model.corpus.programs.inputs import Inputs, Maker
from main_api.bundled_model.corpus.programs.number_inputs import NUMBER_INPUTS
from main_api.bundled_model.corpus.programs.of_files import FILES, PLOTS
from main_api.bundled_model.corpus.programs.of_lists import LISTS
from main_api.bundled_model.corpus.programs.of_numbers import NUMBERS, arithmetic_program
from main_api.bundled_model.corpus.programs.of_texts import TEXTS
from main_api.bundled_model.corpus.programs.task import Task
from main_api.bundled_model.corpus.programs.text_inputs import TEXT_INPUTS

_FRAMES = "code"
_GROUPS: Mapping[str, tuple[Mapping[str, Task], float]] = {
    "code_lists": (LISTS, 10),
    "code_numbers": (NUMBERS, 10),
    "code_texts": ({**TEXTS, **FILES, **PLOTS}, 12),
}
_INPUTS: Mapping[str, Maker] = {**NUMBER_INPUTS, **TEXT_INPUTS, **FILE_INPUTS}
_FORMS = {"noun": 4.0, "head": 4.0, "verb": 4.5, "ask": 2.0, "data.head": 1.5, "them": 1.5}
_STYLED = 0.85
_EXPRESSIONS = 0.045
_TEXT, _INNER, _LIST, _HEAD = "\0", "\1", "\2", "\3"
_SPECIAL_LIST = 0.2
_CONTEXT = 0.07
_FIGURES = ("figure_1.png", "figure_1.png", "figure_1.png", "figure_2.png", "plot.png", "chart.png", "figure.png")


@dataclass(frozen=True, slots=True)
class CodeAsk(Ask):
    """A request for a program; `printed` are the lines that it prints, None if it draws a figure."""

    printed: Sequence[str] | None = None


def tool(rng: Random) -> Tool:
    """Return the tool that runs programs under one of its names."""
    say = phrases(_FRAMES).say
    return Tool(say(rng, "tool.name"), (say(rng, "tool.argument"),), say(rng, "tool.description"))


def ask(rng: Random, words: Words) -> Ask:
    """Return a request for a program."""
    if rng.random() < _EXPRESSIONS:
        return _arithmetic(rng)
    file = rng.choices(list(_GROUPS), [weight for _, weight in _GROUPS.values()])[0]
    tasks = _GROUPS[file][0]
    name = rng.choices(list(tasks), [task.weight for task in tasks.values()])[0]
    task = tasks[name]
    return _Writer(rng, file, name, _INPUTS[task.inputs](rng, words)).ask(task)


def result(rng: Random, words: Words, ask: Ask, tool: Tool) -> Result:
    """Return what the product's tool shows of the run."""
    lines = ask.printed if isinstance(ask, CodeAsk) else ()
    if lines:
        return Result("\n".join(lines), f"The program printed: {', '.join(lines)}")
    if lines is None and rng.random() < 0.85:
        figure = rng.choice(_FIGURES)
        size = rng.choice((f"{rng.randint(2, 90)} KB", f"{rng.randint(200, 1023)} bytes"))
        return Result(f"[files: {figure} ({size})]", f"The program made: {figure}")
    return Result("(the code printed nothing)", "The program ran.")


def _arithmetic(rng: Random) -> Ask:
    """Return a calculation that is to be done by a program, which the request says."""
    pieces, program = (Piece("12 * 7", slot=True),), None
    expression = "12 * 7"
    while program is None:
        pieces, expression = calculation.expression(rng)
        program = arithmetic_program(expression)
    say = phrases(_FRAMES).pieces
    request = _capital(rng, _spliced(say(rng, "python.request", x=_INNER), {_INNER: pieces}))
    clause = _spliced(say(rng, "python.clause", x=_INNER), {_INNER: pieces})
    return CodeAsk("code", request, clause, (program[0],), expression, printed=[program[1]])


def _is_a_thing(noun: Sequence[Piece]) -> bool:
    """Say whether it is to be made ("a bar chart of …"): "What is a sine wave?" would ask for something else."""
    return noun[0].text.startswith(("a ", "the classic", "the usual", "the famous", "the typical"))


def _capital(rng: Random, pieces: list[Piece]) -> list[Piece]:
    first = pieces[0]
    if not first.slot and first.text[0].islower() and rng.random() < _STYLED:
        return capitalised(pieces)
    return pieces


class _Writer:
    """Words one request for one task about one set of inputs."""

    def __init__(self, rng: Random, file: str, name: str, given: Inputs) -> None:
        self._rng = rng
        self._file = file
        self._name = name
        self._given = given
        self._single = " " not in given.text
        self._bare = rng.random() < 0.55
        self._quote = rng.choice(('"{}"', '"{}"', "'{}'", "“{}”")) if "'" not in given.text else '"{}"'
        section = "list.special" if rng.random() < _SPECIAL_LIST else "list"
        self._list = phrases(_FRAMES).pieces(rng, section, **{"n": "", "count": "", **given.typed})

    def ask(self, task: Task) -> Ask:
        forms = _forms(self._file, self._name)
        form = self._rng.choices(forms, [_FORMS[form] for form in forms])[0]
        request = _capital(self._rng, self._request(form))
        clause = self._clause(form, forms)
        printed = None if task.printed is None else [str(line) for line in task.printed(self._given.values)]
        subject = "".join(piece.text for piece in self._quoted(self._core(forms), final=False)).removeprefix("the ")
        values = (task.code(self._given.code),)
        whole = self._in_context(self._quoted(request, final=True))
        return CodeAsk("code", whole, clause, values, subject, printed=printed)

    def _in_context(self, pieces: list[Piece]) -> list[Piece]:
        chance = self._rng.random()
        if chance < _CONTEXT:
            return [Piece(phrases(_FRAMES).say(self._rng, "before") + " "), *pieces]
        if chance < 2 * _CONTEXT and not pieces[-1].slot:
            end = "" if pieces[-1].text[-1] in ".?!" else "."
            return [*pieces, Piece(f"{end} {phrases(_FRAMES).say(self._rng, 'after')}")]
        return pieces

    def _core(self, forms: Sequence[str]) -> list[Piece]:
        if "noun" in forms:
            return self._task("noun")
        return self._whole("head") if "head" in forms else self._task("verb")

    def _request(self, form: str) -> list[Piece]:
        if form == "ask":
            return self._task("ask")
        if form == "data.head":
            return self._framed("data.head", {_HEAD: self._task("head")})
        if form == "them":
            return self._framed("data.them", {_INNER: self._task("them")})
        pieces = self._whole(form)
        if form != "verb":
            return self._framed("frame.thing" if _is_a_thing(pieces) else "frame.noun", {_INNER: pieces})
        chance = self._rng.random()
        if chance < 0.3 and not has_and(pieces):
            return self._framed("frame.does", {_INNER: third_person(pieces)})
        if chance < 0.4 and not has_and(pieces):
            return self._framed("frame.doing", {_INNER: gerund(pieces)})
        return self._framed("frame.verb", {_INNER: pieces})

    def _clause(self, form: str, forms: Sequence[str]) -> Sequence[Piece]:
        if form == "them":
            pieces = self._framed("data.clause", {_INNER: self._task("them")})
        elif "verb" in forms and (form in {"verb", "ask"} or self._rng.random() < 0.5):
            pieces = self._task("verb")
            if self._rng.random() < 0.25 and not has_and(pieces):
                pieces = self._framed("clause.does", {_INNER: third_person(pieces)})
            else:
                pieces = self._framed("clause.verb", {_INNER: pieces})
        else:
            pieces = self._whole("noun" if "noun" in forms else "head")
            pieces = self._framed("clause.thing" if _is_a_thing(pieces) else "clause.noun", {_INNER: pieces})
        return self._quoted(pieces, final=False)

    def _whole(self, form: str) -> list[Piece]:
        return (
            self._framed("of", {_HEAD: self._task("head"), _LIST: self._list}) if form == "head" else self._task(form)
        )

    def _task(self, form: str) -> list[Piece]:
        pieces = phrases(self._file).pieces(
            self._rng, f"{form}: {self._name}", **{"t": _TEXT, **self._given.typed, "l": _LIST}
        )
        return _spliced(pieces, {_LIST: self._list})

    def _framed(self, section: str, inner: Mapping[str, Sequence[Piece]]) -> list[Piece]:
        slots = {"x": _INNER, "v": _INNER, "vs": _INNER, "ving": _INNER, "h": _HEAD, "l": _LIST}
        pieces = phrases(_FRAMES).pieces(self._rng, section, **slots, n=self._given.typed.get("n", ""))
        return _spliced(pieces, inner)

    def _quoted(self, pieces: Sequence[Piece], *, final: bool) -> list[Piece]:
        """Put the text in, with quotation marks where its end would not be seen without."""
        quoted: list[Piece] = []
        for index, piece in enumerate(pieces):
            if piece.text != _TEXT:
                quoted.append(piece)
                continue
            rest = "".join(later.text for later in pieces[index + 1 :])
            bare = self._bare and (self._single or (final and rest in {"", ".", "?"}))
            if bare and not self._single and quoted and quoted[-1].text.endswith((" in ", " of ", " print ")):
                quoted[-1] = Piece(f"{quoted[-1].text[:-1]}: ")
            quoted.append(Piece(self._given.text if bare else self._quote.format(self._given.text), slot=True))
        return quoted


def _spliced(pieces: Sequence[Piece], inner: Mapping[str, Sequence[Piece]]) -> list[Piece]:
    found: list[Piece] = []
    for index, piece in enumerate(pieces):
        parts = inner.get(piece.text, (piece,))
        begins = index > 0 and pieces[index - 1].text.endswith(". ") and piece.text == _INNER
        if begins and not parts[0].slot:
            parts = capitalised(parts)
        found += parts
    return found


@functools.cache
def _forms(file: str, name: str) -> list[str]:
    sections = phrases(file).sections
    forms = [form for form in _FORMS if f"{form}: {name}" in sections]
    return [*forms, "data.head"] if "head" in forms else forms
