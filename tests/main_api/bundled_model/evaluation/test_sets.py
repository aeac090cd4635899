"""The sets that were written by hand: every line can be read, and every file has its forty."""

from pathlib import Path

import pytest

from main_api.bundled_model.evaluation.sets import BadSet, CallItem, PlanItem, UnknownToolItem, read
from main_api.bundled_model.evaluation.skills import SKILLS

SETS = Path(__file__).parents[3] / "bundled_model" / "sets"
NAMES = ("everyday", "terse", "professional")


@pytest.mark.parametrize("skill", SKILLS)
@pytest.mark.parametrize("name", NAMES)
def test_a_set_has_forty_different_lines_of_a_skill(name: str, skill: str) -> None:
    items = read(SETS / name, skill, SKILLS[skill].item)

    assert len(items) == 40
    assert len({item.model_dump_json() for item in items}) == 40


@pytest.mark.parametrize("skill", [skill for skill in SKILLS if skill != "topics"])
def test_no_line_is_in_two_sets(skill: str) -> None:
    items = [item for name in NAMES for item in read(SETS / name, skill, SKILLS[skill].item)]

    assert len({item.model_dump_json() for item in items}) == len(items)


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (CallItem, '{"request": "r", "tool": "python_coder", "arguments": [{"code": "1"}]}'),
        (CallItem, '{"request": "r", "tool": "rag", "arguments": [{"query": "q"}], "note": "n"}'),
        (
            UnknownToolItem,
            '{"request": "r", "tools": [{"name": "t", "arguments": ["a"], "description": "d"}], "tool": "u"}',
        ),
        (PlanItem, '{"request": "r", "steps": [{"tool": "rag", "needs": [2]}, {"tool": "rag", "needs": []}]}'),
        (CallItem, "nonsense"),
    ],
)
def test_a_slip_of_the_pen_is_named_with_its_line(tmp_path: Path, item: type, line: str) -> None:
    (tmp_path / "calls.jsonl").write_text(line, encoding="utf-8")

    with pytest.raises(BadSet, match=r"calls\.jsonl, line 1"):
        read(tmp_path, "calls", item)


def test_a_set_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSet, match=r"no calls\.jsonl"):
        read(tmp_path, "calls", CallItem)
