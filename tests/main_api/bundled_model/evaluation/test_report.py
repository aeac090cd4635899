"""Shares, goals and failures, and how they are shown."""

from pathlib import Path

import orjson

from main_api.bundled_model.evaluation.judgement import GOALS, RIGHT_TOOL, Judgement
from main_api.bundled_model.evaluation.report import Report, figures_of


def judged(skill: str, figure: str, *, count: int, of: int) -> list[tuple[str, Judgement]]:
    return [
        (skill, Judgement(figure, number < count, f"request {number}", "wanted", f"`got`\n{number}"))
        for number in range(of)
    ]


def report(*found: tuple[str, Judgement]) -> Report:
    figures = figures_of(found)
    return Report(
        model="m.gguf", sha256="0", size_bytes=1, seconds=1, turns=1, sets={"everyday": figures}, together=figures
    )


def test_a_goal_is_held_against_the_share() -> None:
    figures = figures_of(
        [*judged("calls", RIGHT_TOOL, count=38, of=40), *judged("native", RIGHT_TOOL, count=37, of=40)]
    )

    assert figures["calls", RIGHT_TOOL].met is True
    assert figures["native", RIGHT_TOOL].met is False


def test_of_a_share_that_must_be_small_those_that_count_are_the_failures() -> None:
    figures = figures_of(judged("in_scope", "declined", count=3, of=40))

    assert figures["in_scope", "declined"].met is False
    assert [one.asked for one in figures["in_scope", "declined"].failures] == ["request 0", "request 1", "request 2"]


def test_at_most_ten_failures_are_kept() -> None:
    figures = figures_of(judged("titles", "right", count=0, of=40))

    assert len(figures["titles", "right"].failures) == 10
    assert figures["titles", "right"].met is None


def test_the_report_shows_failures_as_they_are(tmp_path: Path) -> None:
    made = report(*judged("calls", RIGHT_TOOL, count=1, of=2))

    made.write(tmp_path)

    markdown = (tmp_path / "evaluation.md").read_text(encoding="utf-8")
    assert "| calls | right tool | ≥ 0.95 | 0.500 (1/2) ✗ |" in markdown
    assert "- got: `` `got`⏎1 ``" in markdown
    data = orjson.loads((tmp_path / "evaluation.json").read_bytes())
    assert data["sets"]["everyday"][0]["failures"] == [{"asked": "request 1", "wanted": "wanted", "got": "`got`\n1"}]
    assert made.missed == [("everyday", ("calls", RIGHT_TOOL))]


def test_every_goal_names_a_skill() -> None:
    from main_api.bundled_model.evaluation.skills import SKILLS

    assert {skill for skill, _ in GOALS} <= SKILLS.keys()
