"""The shipped model in its real engine, judged by a set of two lines."""

from pathlib import Path

import pytest

from main_api.backends.gguf import NotGguf
from main_api.backends.local_models import BUNDLED_PATH
from main_api.bundled_model.evaluation.__main__ import main
from main_api.bundled_model.evaluation.evaluate import evaluate

LINES = (
    '{"request": "Calculate 12 * 7", "tool": "calculator", "arguments": [{"expression": "12 * 7"}]}\n'
    '{"request": "Calculate 8 + 5", "tool": "websearch", "arguments": [{"query": "8 + 5"}]}\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "calls.jsonl").write_text(LINES, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_a_set_is_asked_in_the_real_engine(folder: Path) -> None:
    report = evaluate(BUNDLED_PATH, [folder], skills=["calls"])

    figure = report.together["calls", "right tool"]
    assert (figure.n, figure.count, report.turns) == (2, 1, 2)
    assert [failure.asked for failure in figure.failures] == ["Calculate 8 + 5"]


def test_a_file_that_is_no_model_is_refused_before_anything_starts(folder: Path) -> None:
    with pytest.raises(NotGguf):
        evaluate(folder / "calls.jsonl", [folder])


def test_the_command_line_says_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(BUNDLED_PATH), "--set", str(folder), "--skill", "plans"]) == 1
    assert "plans.jsonl" in capsys.readouterr().err
