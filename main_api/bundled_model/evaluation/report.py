"""The figures of an evaluation with their goals and failures, as Markdown for people and as JSON for programs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

from main_api.bundled_model.evaluation.judgement import GOALS, Goal, Judgement

_MOST_FAILURES: Final = 10
_ALL: Final = "all sets"
_BACKTICKS: Final = re.compile("`+")


@dataclass(frozen=True, slots=True)
class Failure:
    """One that went wrong, as it is."""

    asked: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A share of `n` items, of which `count` count, with the first failures among them."""

    n: int
    count: int
    goal: Goal | None
    failures: tuple[Failure, ...]

    @property
    def share(self) -> float:
        return self.count / self.n

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return self.goal.met(self.share) if self.goal else None


FigureKey = tuple[str, str]
"""The skill and the figure's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures by set; `all sets` are taken together in `together`."""

    model: str
    sha256: str
    size_bytes: int
    seconds: float
    turns: int
    sets: Mapping[str, Mapping[FigureKey, Figure]]
    together: Mapping[FigureKey, Figure]

    @property
    def missed(self) -> list[tuple[str, FigureKey]]:
        """The goals that were not met, by set."""
        return [(name, key) for name, figures in self.sets.items() for key, one in figures.items() if one.met is False]

    def as_json(self) -> bytes:
        """Render everything, as the file `evaluation.json` holds it."""
        return orjson.dumps(
            {
                "model": self.model,
                "sha256": self.sha256,
                "size_bytes": self.size_bytes,
                "seconds": round(self.seconds, 1),
                "turns": self.turns,
                "sets": {name: _as_data(figures) for name, figures in self.sets.items()},
                "together": _as_data(self.together),
            },
            option=orjson.OPT_INDENT_2,
        )

    def as_table(self) -> str:
        """Render the figures alone, those with a goal first."""
        columns = [*self.sets, *([_ALL] if len(self.sets) > 1 else [])]
        lines = [f"| skill | figure | goal | {' | '.join(columns)} |", f"|---|---|---|{'---|' * len(columns)}"]
        for key in sorted(self.together, key=lambda key: key not in GOALS):
            goal = self.together[key].goal
            cells = [_cell(self._figures(column).get(key)) for column in columns]
            lines.append(f"| {key[0]} | {key[1]} | {goal or ''} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def as_markdown(self) -> str:
        """Render the figures and, for each of them and each set, up to ten failures as they are."""
        parts = [
            f"# Evaluation of {self.model}",
            f"{self.size_bytes:,} bytes, SHA-256 `{self.sha256}`; {self.turns:,} turns in {self.seconds:.0f} s. "
            "A goal that is not met is marked with ✗. Arguments are compared without regard to case, outer punctuation "
            "and a leading article; where the sets accept several spans, each of them counts.",
            self.as_table(),
            "## What went wrong",
        ]
        for name, figures in self.sets.items():
            for (skill, figure), one in figures.items():
                if one.failures and one.goal:
                    parts += [f"### {name}: {skill}, {figure}", _failures(one.failures)]
        for (skill, figure), one in self.together.items():
            if one.failures and not one.goal:
                parts += [f"### {_ALL}: {skill}, {figure}", _failures(one.failures)]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """Write `evaluation.md` and `evaluation.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.md").write_text(self.as_markdown(), encoding="utf-8")
        (folder / "evaluation.json").write_bytes(self.as_json())

    def _figures(self, column: str) -> Mapping[FigureKey, Figure]:
        return self.together if column == _ALL else self.sets[column]


def figures_of(judged: Iterable[tuple[str, Judgement]]) -> dict[FigureKey, Figure]:
    """Count judgements by skill and figure, in the order in which they first come."""
    grouped: dict[FigureKey, list[Judgement]] = {}
    for skill, judgement in judged:
        grouped.setdefault((skill, judgement.figure), []).append(judgement)
    return {key: _figure(key, found) for key, found in grouped.items()}


def _figure(key: FigureKey, found: Sequence[Judgement]) -> Figure:
    goal = GOALS.get(key)
    bad_ones_count = goal is not None and goal.at_most
    failed = [one for one in found if one.counts == bad_ones_count]
    return Figure(
        n=len(found),
        count=sum(one.counts for one in found),
        goal=goal,
        failures=tuple(Failure(one.asked, one.wanted, one.got) for one in failed[:_MOST_FAILURES]),
    )


def _as_data(figures: Mapping[FigureKey, Figure]) -> list[dict[str, object]]:
    return [
        {
            "skill": skill,
            "figure": figure,
            "n": one.n,
            "count": one.count,
            "share": round(one.share, 4),
            "goal": asdict(one.goal) if one.goal else None,
            "met": one.met,
            "failures": [asdict(failure) for failure in one.failures],
        }
        for (skill, figure), one in figures.items()
    ]


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return f"{figure.share:.3f} ({figure.count}/{figure.n}){' ✗' if figure.met is False else ''}"


def _failures(failures: Sequence[Failure]) -> str:
    return "\n".join(
        f"{number}. asked: {_code(one.asked)}\n   - wanted: {_code(one.wanted)}\n   - got: {_code(one.got)}"
        for number, one in enumerate(failures, 1)
    )


def _code(text: str) -> str:
    """Render a text verbatim in one line of Markdown: line breaks as ⏎, in more backticks than it has itself."""
    line = text.replace("\r", "").replace("\n", "⏎") or " "
    longest = max(map(len, _BACKTICKS.findall(line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{line}{pad}{fence}"
