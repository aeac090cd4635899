"""Requests for special tools: what they promise, over many seeds."""

import json
from collections.abc import Sequence
from random import Random

import pytest

from main_api.bundled_model.corpus.ask import Ask
from main_api.bundled_model.corpus.kinds import special
from main_api.bundled_model.corpus.language.phrases import Piece
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.special_tools.book import specs, standing
from main_api.bundled_model.corpus.special_tools.rendering import listed_nouns

pytest.importorskip("wordfreq", reason="the word list belongs to the training, not to the product")


def _text(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _asks(count: int, seed: int = 1) -> list[Ask]:
    rng, words = Random(seed), Words()
    return [special.ask(rng, words) for _ in range(count)]


def test_there_are_many_tools_and_each_can_be_asked_for_in_several_ways() -> None:
    assert len(standing()) >= 250
    for spec in specs():
        phrases = spec.phrases
        assert phrases.count("request") + phrases.count("clause") >= 5, (
            spec.domain,
            phrases.say(Random(0), "name", **listed_nouns(Random(0))),
        )


def test_every_value_occurs_in_the_request_and_in_the_clause() -> None:
    for ask in _asks(600):
        assert ask.tool is not None
        assert all(
            name.replace("-", "_").replace(".", "_").isidentifier() for name in (ask.tool.name, *ask.tool.arguments)
        )
        assert len(ask.tool.arguments) == len(set(ask.tool.arguments)) == len(ask.values)
        for value in ask.values:
            assert value in _text(ask.request), ask
            assert value in _text(ask.clause), ask


@pytest.mark.slow
def test_every_phrase_of_every_tool_has_all_arguments() -> None:
    nouns = listed_nouns(Random(0))
    for spec in specs():
        slots = {argument.slot: f"<{argument.slot}>" for argument in spec.arguments}
        for section in ("request", "clause"):
            for seed in range(25):
                text = spec.phrases.say(Random(seed), section, **{**nouns, **slots})
                assert all(slot in text for slot in slots.values()), (spec.domain, text)
                assert "  " not in text, (spec.domain, text)
                assert not any(f" {mark}" in text for mark in ".,!;"), (spec.domain, text)


def test_a_clause_begins_in_lower_case_and_ends_without_punctuation() -> None:
    for ask in _asks(600):
        if not ask.clause[0].slot:
            assert ask.clause[0].text[0] not in "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ask.clause
        assert ask.clause[-1].slot or ask.clause[-1].text[-1] not in ".?!", ask.clause


def test_a_result_is_one_line_and_the_answer_repeats_it() -> None:
    rng, words = Random(2), Words()
    for ask in _asks(600):
        assert ask.tool is not None
        result = special.result(rng, words, ask, ask.tool)
        assert result.observation
        assert "\n" not in result.observation
        assert result.answer == f"The tool {ask.tool.name} says: {result.observation}"
        if result.observation.startswith("{"):
            json.loads(result.observation)


def test_distractors_have_other_names_and_are_as_many_as_wanted() -> None:
    rng, words = Random(3), Words()
    for ask in _asks(200):
        assert ask.tool is not None
        others = special.distractors(rng, words, ask, 4)
        names = [tool.name for tool in others]
        assert len(names) == len(set(names)) == 4
        assert ask.tool.name not in names


def test_about_a_third_of_the_tools_are_made_up_on_the_fly() -> None:
    made_up = sum(isinstance(ask, special.SpecialAsk) and bool(ask.noun) for ask in _asks(600))

    assert 150 < made_up < 300


def test_the_same_seed_gives_the_same_requests() -> None:
    assert _asks(50, seed=9) == _asks(50, seed=9)
