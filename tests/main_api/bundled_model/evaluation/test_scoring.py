"""When the evaluation takes two texts, expressions, outputs or answers for the same."""

import pytest

from main_api.bundled_model.evaluation.expressions import same_value, value_of
from main_api.bundled_model.evaluation.scoring import (
    declines,
    gives_up,
    read_object,
    same_answer,
    same_arguments,
    same_form,
    same_output,
    same_text,
)


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        ("The rules on sick leave.", "rules on sick leave"),
        ("  hotel   costs ", "Hotel costs"),
        ("“bees”", "bees"),
        ("grandma’s cake", "grandma's cake"),
        ("How high is Mount Kenya?", "how high is Mount Kenya"),
    ],
)
def test_free_text_is_compared_without_its_surroundings(got: str, wanted: str) -> None:
    assert same_text(got, wanted)


@pytest.mark.parametrize(
    ("got", "wanted"), [("hotel cost", "hotel costs"), ("", "bees"), ("theory of bees", "ory of bees")]
)
def test_other_words_are_other_text(got: str, wanted: str) -> None:
    assert not same_text(got, wanted)


def test_arguments_need_the_same_names_and_one_accepted_value_each() -> None:
    accepted = [{"origin": "Rome", "to": "Oslo"}, {"origin": "Rome, Italy", "to": "Oslo"}]

    assert same_arguments({"to": "oslo", "origin": "Rome, Italy"}, accepted)
    assert not same_arguments({"to": "Rome", "origin": "Oslo"}, accepted)
    assert not same_arguments({"origin": "Rome"}, accepted)
    assert not same_arguments({"origin": "Rome", "to": "Oslo", "day": "today"}, accepted)
    assert not same_arguments(None, accepted)


def test_numbers_and_truths_are_compared_as_such() -> None:
    assert same_arguments({"days": 3.0, "on": True}, [{"days": 3, "on": True}])
    assert not same_arguments({"days": "3", "on": True}, [{"days": 3, "on": True}])
    assert not same_arguments({"days": 1, "on": 1}, [{"days": 1, "on": True}])
    assert not same_arguments({"days": True, "on": True}, [{"days": 1, "on": True}])


def test_the_form_of_an_expression_leaves_blanks_out_and_nothing_else() -> None:
    assert same_form("12*7", "12 * 7")
    assert same_arguments({"expression": "15 % of 80"}, [{"expression": "15% of 80"}])
    assert not same_form("7 * 12", "12 * 7")


@pytest.mark.parametrize(
    ("expression", "value"),
    [("12*7", 84), ("15% of 80", 12), ("sqrt(144) - 2", 10), ("2 ** 10", 1024), ("-(3 + 4) / 2", -3.5), ("2^3", 8)],
)
def test_an_expression_is_worked_out(expression: str, value: float) -> None:
    assert value_of(expression) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression", ["", "1 / 0", "9 ** 9 ** 9", "(-8) ** 0.5", "x + 1", "12 * 7 for me", "True", "("]
)
def test_what_cannot_be_worked_out_has_no_value(expression: str) -> None:
    assert value_of(expression) is None
    assert not same_value(expression, expression)


def test_equal_values_of_different_forms_are_seen() -> None:
    assert same_value("7 * 12", "12 * 7")
    assert not same_value("12 * 7", "12 + 7")


def test_answers_are_exact_but_for_their_blanks() -> None:
    assert same_answer("The result is  84.\n", ["The result is 84."])
    assert not same_answer("the result is 84.", ["The result is 84."])
    assert not same_answer("The result is 84", ["The result is 84."])


@pytest.mark.parametrize("printed", ["[3, 12, 45]\n", "3 12 45", "3\n12\n45\n", "(3, 12, 45)"])
def test_an_output_is_its_values_in_order(printed: str) -> None:
    assert same_output(printed, ["3, 12, 45"])


def test_other_values_are_another_output() -> None:
    assert not same_output("3 12", ["3, 12, 45"])
    assert not same_output("31245", ["3, 12, 45"])
    assert same_output("anything", ["*"])


def test_refusals_are_known_by_their_beginning() -> None:
    assert declines("I am a small built-in model and cannot write poems. Add a bigger one.")
    assert gives_up("I have no tool for that.")
    assert not declines("Hello! I am a small built-in model and cannot …")


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1', "nothing"])
def test_what_is_no_object_is_none(text: str) -> None:
    assert read_object(text) is None
