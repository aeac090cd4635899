import contextlib
import io
from random import Random

import pytest

from main_api.bundled_model.corpus.kinds import code
from main_api.bundled_model.corpus.language.numbers import in_words
from main_api.bundled_model.corpus.language.words import Words

pytest.importorskip("wordfreq")

_SEEDS = range(600)
_NOT_RUN = ("import csv", "import random", "import matplotlib")


@pytest.fixture(scope="module")
def words() -> Words:
    return Words()


def _run(program: str) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(program, "program", "exec"), {})  # noqa: S102 -- our own generated program
    return out.getvalue().splitlines()


def test_programs_compile_and_print_what_the_result_says(words: Words) -> None:
    for seed in _SEEDS:
        rng = Random(seed)
        ask = code.ask(rng, words)
        program = ask.values[0]
        compile(program, "program", "exec")
        result = code.result(rng, words, ask, code.tool(rng))
        if not any(name in program for name in _NOT_RUN):
            printed = _run(program)
            assert result.observation == "\n".join(printed) or not printed, program
            assert result.answer == f"The program printed: {', '.join(printed)}" or not printed


def test_the_numbers_of_a_list_are_in_the_request_in_their_order(words: Words) -> None:
    for seed in _SEEDS:
        ask = code.ask(Random(seed), words)
        if ask.values[0].startswith("print(sum(["):
            for text in ("".join(piece.text for piece in ask.request), "".join(piece.text for piece in ask.clause)):
                at = 0
                for number in ask.values[0].removeprefix("print(sum([").removesuffix("]))").split(", "):
                    at = text.index(number, at) + len(number)


def test_a_quoted_text_of_the_program_is_in_the_request(words: Words) -> None:
    for seed in _SEEDS:
        ask = code.ask(Random(seed), words)
        if ask.values[0].startswith('print("') and "[::-1]" in ask.values[0]:
            assert ask.values[0].split('"')[1] in "".join(piece.text for piece in ask.request)


def test_the_same_seed_gives_the_same_request(words: Words) -> None:
    assert [code.ask(Random(seed), words) for seed in range(50)] == [
        code.ask(Random(seed), words) for seed in range(50)
    ]


def test_numbers_in_words() -> None:
    assert in_words(Random(0), 17) == "seventeen"
    assert in_words(Random(0), 90) == "ninety"
    assert in_words(Random(0), 300) == "three hundred"
