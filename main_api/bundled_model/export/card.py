"""What people are told of the model, all from one dataclass of figures: the model card and the file of figures.

The card travels inside the GGUF file and as the README of the Hugging Face folder; the figures lie beside the file.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from main_api.bundled_model.export.model import Sizes

NAME = "twinport-tiny"
DESCRIPTION = (
    "The small built-in model of Twinport, trained from nothing on synthetic English conversations. It greets, chooses "
    "among offered tools, follows requests up, answers by what calculators and programs return, and writes titles and "
    "small programs. It cannot chat freely, knows nothing of the world and understands English only: connect a bigger "
    "model for real work."
)
DATA = (
    "Synthetic: conversations that Twinport's own generator makes from hand-written phrases and a list of English "
    "words by frequency. No pretrained weights, no scraped text, nothing of any user."
)
_CAN = (
    "greet, thank, say who it is and what it can do, keep a name for the length of a conversation, repeat a text;",
    "choose among one to twelve offered tools and follow a request up, as native tool calls or as ReAct steps;",
    "answer by what a calculator or a program returned, try again or say so when a tool failed, and decline what it "
    "cannot do;",
    "write titles, next research questions and slide outlines of a topic;",
    "write small Python programs for plainly worded requests: sums, means, sorting, primes, Fibonacci.",
)
_UNRELIABLY = (
    "copy the arguments of tools that it never saw, and of long requests;",
    "copy the sentence that answers a question out of passages, with its `[n]`;",
    "plan requests of three parts and more; choose which agent takes a request that is worded tersely.",
)
"""What it is trained for and gets wrong too often to count on; the table of figures says how often."""
_CANNOT = (
    "answer from knowledge: it has none;",
    "chat freely, write texts, translate, give advice or opinions;",
    "understand other languages than English, or very unusual wordings;",
    "read more than its context, or images.",
)
_ASKING = (
    "The user's message is the bare request. The chat template lists OpenAI's `tools` as `- name(arg1, arg2): "
    "description`, the form in which it knows them. Ask at temperature 0, with no repeat penalty and a limit of tokens."
)
_FAILURES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request that came out wrong, as it is."""

    asked: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """How many of all count, which are the right ones unless the name says otherwise. `goal` is a text: "≥ 0.95"."""

    name: str
    count: int
    of: int
    goal: str = ""
    failures: Sequence[Failure] = ()

    @property
    def share(self) -> float:
        return self.count / max(1, self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One line of the trainer's `curve.jsonl`: tokens read, loss, and the share of messages right by skill."""

    tokens: int
    loss: float
    exact: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All figures of one trained model. `trained_on` says the machine and the time in words."""

    version: str
    parameters: int
    sizes: Sizes
    training_tokens: int
    seed: int
    trained_on: str = ""
    licence: str | None = None
    measures: Sequence[Measure] = ()
    proofs: Sequence[Measure] = ()
    curve: Sequence[Point] = ()

    @property
    def size_label(self) -> str:
        return f"{self.parameters / 1e6:.1f}M"


def card_text(figures: Figures) -> str:
    """Return the model card as Markdown."""
    return (
        "\n".join([f"# {NAME} {figures.version}", "", DESCRIPTION, "", *_facts(figures), *_abilities(figures)]) + "\n"
    )


def hugging_face_card(figures: Figures) -> str:
    """Return the model card with the header that Hugging Face reads."""
    licence = [f"license: {figures.licence}"] if figures.licence else []
    header = ["language: en", *licence, "library_name: transformers", "pipeline_tag: text-generation"]
    return "\n".join(["---", *header, "tags: [tool-use, agent, synthetic]", "---", "", card_text(figures)])


def figures_text(figures: Figures, file: Path) -> str:
    """Return the file of figures that lies beside `file`: its checksum, what was measured, and what failed."""
    size = file.stat().st_size
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    lines = [f"# Figures of {NAME} {figures.version}", "", f"`{file.name}`: {size:,} bytes, SHA-256 `{digest}`.", ""]
    lines += ["## On requests written by hand", "", *_table(figures.measures)]
    lines += ["## The same answers everywhere", "", *_table(figures.proofs), *_curve(figures.curve)]
    for measure in (*figures.measures, *figures.proofs):
        lines += _failures(measure)
    return "\n".join(lines).rstrip() + "\n"


def as_json(figures: Figures) -> str:
    return TypeAdapter(Figures).dump_json(figures, indent=1).decode()


def from_json(text: str) -> Figures:
    return TypeAdapter(Figures).validate_json(text)


def curve_of(path: Path) -> list[Point]:
    """Read the trainer's curve."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Point(tokens=line["tokens"], loss=line["loss"], exact=line["exact"]) for line in map(json.loads, lines)]


def measures_of(evaluation: Path) -> list[Measure]:
    """Read what `evaluation.json` says: the figures with a goal of all sets together and of each, then the others."""
    found = json.loads(evaluation.read_text(encoding="utf-8"))
    measures = [_measure(one) for one in found["together"]]
    by_set = [
        replace(_measure(one), name=f"{_measure(one).name}, {name}", failures=())
        for name, figures in found["sets"].items()
        for one in figures
        if one["goal"]
    ]
    return [*(one for one in measures if one.goal), *by_set, *(one for one in measures if not one.goal)]


def licence_of(pyproject: Path) -> str | None:
    """Return the project's licence, which is the model's too, if the project names one."""
    licence = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"].get("license")
    return licence if isinstance(licence, str) else None


def _measure(found: Mapping[str, Any]) -> Measure:
    goal = found["goal"]
    return Measure(
        name=f"{found['skill'].replace('_', ' ')}: {found['figure']}",
        count=found["count"],
        of=found["n"],
        goal=f"{'≤' if goal['at_most'] else '≥'} {goal['share']:.2f}" if goal else "",
        failures=[Failure(**failure) for failure in found["failures"]],
    )


def _facts(figures: Figures) -> Iterator[str]:
    sizes = figures.sizes
    shape = f"{sizes.layers} layers, width {sizes.width}, {sizes.heads} heads, vocabulary {sizes.vocabulary}"
    tokens = f"{figures.training_tokens / 1e6:.1f} million tokens, seed {figures.seed}"
    trained = f", {figures.trained_on}" if figures.trained_on else ""
    yield "| | |"
    yield "|---|---|"
    yield f"| What | Llama architecture, {figures.parameters / 1e6:.1f} million parameters ({shape}) |"
    yield f"| Training | from nothing, {tokens}{trained} |"
    yield f"| Data | {DATA} |"
    yield f"| Context | {sizes.context} tokens |"
    yield "| Language | English |"
    if figures.licence:
        yield f"| Licence | {figures.licence} |"
    yield ""


def _abilities(figures: Figures) -> Iterator[str]:
    yield "**It can**\n"
    yield from (f"- {line}" for line in _CAN)
    yield "\n**It tries, and often fails to**\n"
    yield from (f"- {line}" for line in _UNRELIABLY)
    yield "\n**It cannot**\n"
    yield from (f"- {line}" for line in _CANNOT)
    yield f"\n**How to ask it.** {_ASKING}"
    if figures.measures:
        yield "\n**Measured** on requests written by hand, kept apart from the training:\n"
        yield from _table([one for one in figures.measures if one.goal])
        yield "The file of figures beside this one has the rest, with failures as they are."


def _table(measures: Sequence[Measure]) -> list[str]:
    if not measures:
        return ["Not measured.", ""]
    rows = [f"| {one.name} | {one.count} of {one.of} | {one.share:.3f} | {one.goal} |" for one in measures]
    return ["| | count | share | goal |", "|---|---|---|---|", *rows, ""]


def _curve(curve: Sequence[Point]) -> list[str]:
    """Show at most some twenty points of the curve; the shares are of validation messages, word for word."""
    if not curve:
        return []
    shown = [*curve[:: -(-len(curve) // 20)], curve[-1]]
    skills = list(curve[-1].exact)
    rows = {
        point.tokens: " | ".join([f"{point.tokens / 1e6:.1f}", f"{point.loss:.4f}", *_shares(point, skills)])
        for point in shown
    }
    head = " | ".join(["million tokens", "loss", *skills])
    return [
        "## The curve",
        "",
        f"| {head} |",
        "|---" * (len(skills) + 2) + "|",
        *(f"| {r} |" for r in rows.values()),
        "",
    ]


def _shares(point: Point, skills: Sequence[str]) -> list[str]:
    return [f"{point.exact[skill]:.2f}" if skill in point.exact else "" for skill in skills]


def _failures(measure: Measure) -> list[str]:
    if not measure.failures:
        return []
    lines = [f"## Failures: {measure.name}", ""]
    for one in measure.failures[:_FAILURES]:
        lines += [f"- {_code(one.asked)}", f"  - wanted {_code(one.wanted)}", f"  - got {_code(one.got)}"]
    return [*lines, ""]


def _code(text: str) -> str:
    """Quote any text in one line of Markdown."""
    fence = "`"
    while fence in text:
        fence += "`"
    blank = " " if len(fence) > 1 else ""
    return f"{fence}{blank}{text.replace(chr(10), '⏎')}{blank}{fence}"
