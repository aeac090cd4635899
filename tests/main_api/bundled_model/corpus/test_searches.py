"""Requests for the web, for documents and for slides: what is copied, and what is found."""

from random import Random

import pytest

from main_api.bundled_model.corpus.ask import Kind
from main_api.bundled_model.corpus.kinds import documents, slides, web
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import message
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.searches.topics import fillers

SEEDS = range(400)
WORDS = Words()
KINDS: list[Kind] = [web, documents, slides]
SEARCHES: list[Kind] = [web, documents]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_copied_stands_in_the_message_as_it_is(kind: Kind) -> None:
    for seed in SEEDS:
        rng = Random(seed)
        ask = kind.ask(rng, WORDS)
        assert len(ask.values) == 1
        assert ask.values[0]
        assert ask.values[0] in message(rng, ask.request)
        assert not ask.clause or ask.values[0] in message(rng, ask.clause)
        assert ask.values[0][-1] not in "?!"
        assert ask.subject in ask.values[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_clause_is_a_command_without_an_end(kind: Kind) -> None:
    for seed in SEEDS:
        text = "".join(piece.text for piece in kind.ask(Random(seed), WORDS).clause)
        assert not text.endswith(("?", "!"))
        assert not text or text[0].islower()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_says_the_same(kind: Kind) -> None:
    for seed in SEEDS[:50]:
        first, second = (kind.ask(Random(seed), WORDS) for _ in range(2))
        tool = kind.tool(Random(seed))
        assert first == second
        assert kind.result(Random(seed), WORDS, first, tool) == kind.result(Random(seed), WORDS, second, tool)


@pytest.mark.parametrize("kind", SEARCHES)
def test_the_answer_is_a_sentence_of_the_source_that_it_names(kind: Kind) -> None:
    unanswered = 0
    for seed in SEEDS:
        rng = Random(seed)
        result = kind.result(rng, WORDS, kind.ask(rng, WORDS), kind.tool(rng))
        sentence, _, number = result.answer.rpartition(" [")
        if not sentence:
            unanswered += 1
            continue
        sources = dict(line[1:].split("] ", 1) for line in result.observation.splitlines() if line)
        assert sentence in sources[number.rstrip("]")]
    assert 0.05 < unanswered / len(SEEDS) < 0.2


def test_slides_are_ready_where_they_were_made() -> None:
    for seed in SEEDS:
        rng = Random(seed)
        result = slides.result(rng, WORDS, slides.ask(rng, WORDS), slides.tool(rng))
        assert result.answer.removeprefix("The presentation is ready: ") in result.observation


def test_every_question_has_a_sentence_that_answers_it() -> None:
    book, slots = phrases("web_questions"), fillers(Random(0), WORDS)
    for section in book.sections:
        for seed in SEEDS:
            question, mark, answer = book.say(Random(seed), section, **slots).partition(" => ")
            assert question
            assert mark
            assert answer.endswith(".")


@pytest.mark.parametrize(
    ("name", "filled"),
    [
        ("web", ("q",)),
        ("documents", ("q", "d", "one", "many", "t")),
        ("slides", ("q", "n", "a", "for", "deck", "file")),
    ],
)
def test_no_phrase_wants_a_slot_that_is_not_filled(name: str, filled: tuple[str, ...]) -> None:
    book, slots = phrases(name), fillers(Random(0), WORDS)
    for section in book.sections:
        for seed in SEEDS:
            assert book.say(Random(seed), section, **{**slots, **dict.fromkeys(filled, "x")})
