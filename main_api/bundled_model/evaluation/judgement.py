"""One thing that was judged about one item, and the goals that the shares are held against."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NO_PROMPT: Final = "without a system prompt"
PERSONA: Final = "with a persona"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an item counts into the share of `figure`; `wanted` and `got` are shown with the failures."""

    figure: str
    counts: bool
    asked: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True)
class Goal:
    """The share that a figure must reach, or must not exceed."""

    share: float
    at_most: bool = False

    def met(self, share: float) -> bool:
        return share <= self.share if self.at_most else share >= self.share

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.share:.2f}"


RIGHT_TOOL: Final = "right tool"
EXACT: Final = "tool and arguments exact, the model alone"
FITTED: Final = "tool and arguments exact, as the product fits them"
ANSWER: Final = "answer exact"
DECLINED: Final = "declined"
_TOOL, _ARGUMENTS = Goal(0.95), Goal(0.90)

GOALS: Final[Mapping[tuple[str, str], Goal]] = {
    **{(skill, RIGHT_TOOL): _TOOL for skill in ("calls", "unknown_tools", "native", "follow_ups")},
    **{(skill, EXACT): _ARGUMENTS for skill in ("calls", "unknown_tools", "native", "follow_ups")},
    **{(skill, FITTED): _ARGUMENTS for skill in ("calls", "unknown_tools", "follow_ups")},
    ("observations", ANSWER): Goal(0.95),
    ("failures", ANSWER): Goal(0.95),
    ("plans", "right tools in order, 2 parts"): Goal(0.90),
    ("plans", "right tools in order, 3 parts"): Goal(0.90),
    ("router", "right agent"): Goal(0.93),
    ("extraction", "sentence and citation exact"): Goal(0.85),
    ("out_of_scope", f"{DECLINED}, {NO_PROMPT}"): Goal(0.95),
    ("out_of_scope", f"{DECLINED}, {PERSONA}"): Goal(0.95),
    ("in_scope", DECLINED): Goal(0.05, at_most=True),
}
"""The goals by skill and figure; what is not here is measured without one."""


def shown(value: object) -> str:
    """Write a wanted value as one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
