"""Facts, what distracts from them, and the three skills that read sources."""

from random import Random

import pytest

pytest.importorskip("wordfreq")

from main_api.agents.piecewise import NOT_IN_SOURCES
from main_api.bundled_model.corpus.facts.fact import fact, from_template
from main_api.bundled_model.corpus.facts.related import answers_same, distractor, related
from main_api.bundled_model.corpus.facts.templates import templates
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills import extraction, summary, synthesis
from main_api.bundled_model.corpus.tool_use import failures

_WORDS = Words()


def test_every_template_makes_a_fact_that_its_question_can_be_told_by() -> None:
    rng = Random(1)
    for template in templates():
        told = from_template(rng, _WORDS, template)
        assert told.sentence.endswith("."), told
        assert not any(mark in told.sentence + told.question + told.noun for mark in "{}|")
        assert not told.question.endswith("?")
        assert told.question[0].isupper()


def test_a_topic_or_a_side_can_be_chosen() -> None:
    assert fact(Random(2), _WORDS, "world").field == "world"
    assert fact(Random(2), _WORDS, "leave").topic == "leave"


def test_the_same_seed_tells_the_same() -> None:
    for seed in range(50):
        first, second = (fact(Random(seed), _WORDS) for _ in range(2))
        assert first == second
        assert distractor(Random(seed), _WORDS, first) == distractor(Random(seed), _WORDS, first)


def test_what_is_related_never_answers_the_question() -> None:
    rng = Random(3)
    for _ in range(500):
        told = fact(rng, _WORDS)
        other = related(rng, _WORDS, told)
        assert other is None or not answers_same(told, other)


def test_an_extracted_answer_stands_in_the_passage_of_its_number() -> None:
    nothing = 0
    for seed in range(300):
        messages = extraction.conversation(Random(seed), _WORDS).messages
        sources = messages[1].content
        for message in messages[2::2]:
            if message.content == NOT_IN_SOURCES:
                nothing += 1
                continue
            sentence, _, number = message.content.rpartition(" ")
            passage = next(line for line in sources.splitlines() if line.startswith(number))
            assert sentence in passage
    assert 30 < nothing < 120


def test_a_summary_holds_one_sentence_of_every_source() -> None:
    for seed in range(300):
        _, asked, summed_up = summary.conversation(Random(seed), _WORDS).messages
        numbers = [line.partition(" ")[0] for line in asked.content.splitlines() if line.startswith("[")]
        assert all(f" {number}" in summed_up.content for number in numbers)


def test_an_error_is_one_line_with_a_reason() -> None:
    for seed in range(200):
        text = failures.error(Random(seed))
        assert text.startswith("Error: ")
        assert "\n" not in text
        assert failures.failed("rag", text) == f"The tool rag failed: {text[7:]}"


@pytest.mark.slow
def test_a_synthesis_has_one_sentence_for_every_result() -> None:
    for seed in range(200):
        _, asked, answered = synthesis.conversation(Random(seed), _WORDS).messages
        results = asked.content.partition("\nResults:\n")[2]
        failures = [line.partition(": Error: ") for line in results.splitlines() if ": Error: " in line]
        for tool, _, reason in failures:
            assert f"The tool {tool.partition('. ')[2]} failed: {reason}" in answered.content
