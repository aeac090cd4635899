"""The texts that are made of figures."""

import hashlib
import json
from pathlib import Path

from main_api.bundled_model.export.card import (
    Failure,
    Figures,
    Measure,
    Point,
    as_json,
    card_text,
    curve_of,
    figures_text,
    from_json,
    hugging_face_card,
    licence_of,
    measures_of,
)
from main_api.bundled_model.export.model import Sizes

SIZES = Sizes(vocabulary=4096, width=256, layers=6, heads=4, hidden=640, context=1024, rope_theta=1e6, norm_eps=1e-5)


def figures(*measures: Measure, curve: tuple[Point, ...] = (), licence: str | None = None) -> Figures:
    return Figures(
        version="1",
        parameters=5_570_000,
        sizes=SIZES,
        training_tokens=20_000_000,
        seed=1,
        trained_on="an hour on two cores",
        licence=licence,
        measures=measures,
        curve=curve,
    )


def failing(count: int) -> Measure:
    failures = [Failure(asked=f"request {number}\nwith `code`", wanted="a", got="b") for number in range(count)]
    return Measure(name="right tool", count=38, of=40, goal="≥ 0.95", failures=failures)


def test_card_names_size_training_and_limits() -> None:
    text = card_text(figures(failing(0)))
    assert "5.6 million parameters (6 layers, width 256, 4 heads, vocabulary 4096)" in text
    assert "20.0 million tokens, seed 1, an hour on two cores" in text
    assert "**It cannot**" in text
    assert "| right tool | 38 of 40 | 0.950 | ≥ 0.95 |" in text


def test_a_project_without_a_licence_says_none() -> None:
    assert "icen" not in hugging_face_card(figures())
    assert "license: MIT" in hugging_face_card(figures(licence="MIT"))


def test_licence_is_the_projects(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "x"\n')
    assert licence_of(file) is None
    file.write_text('[project]\nname = "x"\nlicense = "Apache-2.0"\n')
    assert licence_of(file) == "Apache-2.0"


def test_figures_hold_checksum_and_ten_failures_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"12345")
    text = figures_text(figures(failing(12)), file)
    assert f"5 bytes, SHA-256 `{hashlib.sha256(b'12345').hexdigest()}`" in text
    assert text.count("  - wanted `a`") == 10
    assert "- `` request 0⏎with `code` ``" in text


def test_a_long_curve_is_thinned_and_keeps_its_end(tmp_path: Path) -> None:
    points = tuple(Point(tokens=number * 1_000_000, loss=0.5, exact={"react": 0.5}) for number in range(1, 101))
    file = tmp_path / "model.gguf"
    file.touch()
    rows = [line for line in figures_text(figures(curve=points), file).splitlines() if line.endswith("| 0.50 |")]
    assert len(rows) == 21
    assert rows[-1].startswith("| 100.0 |")


def test_curve_is_read_from_the_trainers_lines(tmp_path: Path) -> None:
    file = tmp_path / "curve.jsonl"
    file.write_text('{"tokens": 5, "loss": 1.5, "tokens_per_s": 9, "exact": {"plan": 0.1}}\n')
    assert curve_of(file) == [Point(tokens=5, loss=1.5, exact={"plan": 0.1})]


def test_measures_are_read_from_the_evaluation(tmp_path: Path) -> None:
    goal = {"share": 0.05, "at_most": True}
    failure = {"asked": "Add 1 and 2", "wanted": "a tool", "got": "I cannot"}
    declined = {"skill": "in_scope", "figure": "declined", "n": 40, "count": 1, "goal": goal, "failures": [failure]}
    titles = {"skill": "titles", "figure": "exact", "n": 40, "count": 30, "goal": None, "failures": []}
    file = tmp_path / "evaluation.json"
    file.write_text(json.dumps({"sets": {}, "together": [titles, declined]}))
    assert measures_of(file) == [
        Measure(name="in scope: declined", count=1, of=40, goal="≤ 0.05", failures=[Failure(**failure)]),
        Measure(name="titles: exact", count=30, of=40, failures=[]),
    ]


def test_figures_pass_through_json() -> None:
    before = figures(failing(1), curve=(Point(tokens=1, loss=2.0, exact={"plan": 0.5}),))
    assert as_json(from_json(as_json(before))) == as_json(before)
