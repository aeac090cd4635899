import re
from random import Random

import pytest

from main_api.bundled_model.corpus.calculations.arithmetic import value_of
from main_api.bundled_model.corpus.kinds import calculation
from main_api.bundled_model.corpus.language.words import Words

pytest.importorskip("wordfreq")

_SEEDS = range(600)
_EXPRESSION = re.compile(r"[-0-9.+*/()% ]|sqrt|of")
_WORDS_FOR_NUMBERS = re.compile(
    r"(?i)one|two|three|four|five|six|seven|eight|nine|ten|eleven|twel|teen|ty|hundred|zero"
)
_OPERATIONS = re.compile(
    r"(?i)half|halv|twice|doubl|doing|tripl|treb|thrice|third|quarter|fourth|fifth|tenth|squar|cub|itself|second|root|quadrup"
)


@pytest.fixture(scope="module")
def words() -> Words:
    return Words()


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("12 * 7", "84"),
        ("(3 + 4) * 5", "35"),
        ("sqrt(81) + 2 ** 5", "41"),
        ("15% of 80", "12"),
        ("1 / 8", "0.125"),
        ("2 / 3", "0.666666666666667"),
        ("sqrt(2)", "1.4142135623731"),
        ("-3 ** 2", "-9"),
        ("7 - 10.5", "-3.5"),
        ("1 / 0", ""),
        ("sqrt(-4)", ""),
    ],
)
def test_values_are_written_as_the_calculator_writes_them(expression: str, value: str) -> None:
    assert value_of(expression) == value


def test_every_number_of_the_expression_is_in_the_request(words: Words) -> None:
    for seed in _SEEDS:
        ask = calculation.ask(Random(seed), words)
        expression = ask.values[0]
        assert not _EXPRESSION.sub("", expression)
        assert value_of(expression)
        for text in ("".join(piece.text for piece in pieces) for pieces in (ask.request, ask.clause)):
            if _WORDS_FOR_NUMBERS.search(text) or _OPERATIONS.search(text):
                continue
            for number in re.findall(r"[0-9.]+", expression):
                assert number in text.replace(",", ""), (text, expression)


def test_a_result_is_told_as_agreed(words: Words) -> None:
    rng = Random(1)
    ask = calculation.ask(rng, words)
    result = calculation.result(rng, words, ask, calculation.tool(rng))
    assert result.answer == f"The result is {result.observation}."


@pytest.mark.parametrize("previous", ["84", "-5", "2.5", "0.333333333333333"])
def test_a_follow_up_counts_with_the_previous_result(words: Words, previous: str) -> None:
    for seed in _SEEDS:
        ask = calculation.follow_up(Random(seed), words, previous)
        assert previous in ask.values[0]
        assert value_of(ask.values[0])


def test_the_same_seed_gives_the_same_request(words: Words) -> None:
    first, second = ([calculation.ask(Random(seed), words) for seed in range(50)] for _ in range(2))
    assert first == second
