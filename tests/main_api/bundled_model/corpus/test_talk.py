"""What the corpus says without tools: small talk, declining, routing, titles, questions and slides."""

import json
from collections.abc import Callable
from random import Random

import pytest

from main_api.agents.piecewise import LAST_SLIDE
from main_api.bundled_model.corpus.conversation import Conversation
from main_api.bundled_model.corpus.language.phrases import Piece, phrases
from main_api.bundled_model.corpus.language.wording import framed
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills import research, router, slides_outline, talk, titles

_SEEDS = range(250)


@pytest.fixture(scope="module")
def words() -> Words:
    return Words()


@pytest.mark.parametrize("skill", [talk, router, titles, research, slides_outline])
def test_the_same_seed_makes_the_same_conversation(words: Words, skill: object) -> None:
    conversation: Callable[[Random, Words], Conversation] = getattr(skill, "conversation")  # noqa: B009
    assert [conversation(Random(seed), words) for seed in range(40)] == [
        conversation(Random(seed), words) for seed in range(40)
    ]


def test_names_and_repeated_texts_are_copied_from_the_conversation(words: Words) -> None:
    for seed in _SEEDS:
        messages = talk.conversation(Random(seed), words).messages
        said = "\n".join(message.content for message in messages if message.role == "user")
        for message in messages:
            if message.content.startswith("Your name is "):
                assert message.content.removeprefix("Your name is ").removesuffix(".") in said
            elif message.learn and message.content not in (*talk.ANSWERS.values(), talk.DECLINE):
                assert message.content in said or message.content.startswith(
                    ("Nice to meet", "You have not", "Your ", "I will remember")
                )


def test_every_conversation_without_tools_ends_with_an_answer_to_learn(words: Words) -> None:
    for seed in _SEEDS:
        *before, last = talk.conversation(Random(seed), words).messages
        assert last.role == "assistant"
        assert last.learn
        assert before[-1].role == "user"


def test_declining_begins_as_agreed() -> None:
    assert talk.DECLINE.startswith("I am a small built-in model and cannot")
    for word in ("search", "calculate", "documents", "slides", "Python code"):
        assert word in talk.ANSWERS["ability"]


def test_small_talk_is_answered_and_other_requests_have_words(words: Words) -> None:
    for seed in _SEEDS:
        text, reply = talk.small_talk(Random(seed), words)
        assert text.strip()
        assert reply in talk.ANSWERS.values() or reply.startswith("Nice to meet you, ")
        assert len(talk.out_of_scope(Random(seed), words).split()) >= 1


def test_router_answers_one_agent_in_json(words: Words) -> None:
    agents = [json.loads(router.conversation(Random(seed), words).messages[-1].content)["agent"] for seed in _SEEDS]
    assert set(agents) == {"chat", "react", "plan_execute"}


def test_titles_have_at_most_six_words_of_the_exchange(words: Words) -> None:
    for seed in _SEEDS:
        exchange, title = titles.conversation(Random(seed), words).messages[-2:]
        assert '"' not in title.content
        assert title.content
        assert len(title.content.split()) <= 6 or any(sign in title.content for sign in "+-*/%(")
        assert exchange.content.startswith("User: ")


def test_the_next_question_holds_the_topic_and_was_not_asked(words: Words) -> None:
    for seed in _SEEDS:
        asked, question = research.conversation(Random(seed), words).messages[-2:]
        topic = asked.content.split("\n")[0].removeprefix("Topic: ")
        assert topic in question.content
        assert question.content.endswith("?")
        assert f". {question.content}" not in asked.content


def test_the_next_slide_is_json_with_two_or_three_bullets_and_new(words: Words) -> None:
    for seed in _SEEDS:
        asked, slide = slides_outline.conversation(Random(seed), words).messages[-2:]
        found = json.loads(slide.content)
        assert 2 <= len(found["bullets"]) <= 3
        assert f". {found['title']}\n" not in f"{asked.content}\n"
        assert (found["title"] == "Summary") == asked.content.endswith(LAST_SLIDE)


def test_every_frame_holds_the_clause_once() -> None:
    for seed in range(600):
        text = "".join(piece.text for piece in framed(Random(seed), [Piece("XYZ", slot=True)]))
        assert text.count("XYZ") == 1


def test_instructions_have_every_section() -> None:
    plain = ("router", "synthesis", "extract", "summary", "question", "slide", "title", "chat")
    book = phrases("instructions")
    for section in ("steps role", "steps form", "plan role", "plan form", *plain):
        assert book.count(section) >= 15
        assert "\\" not in book.say(Random(1), section)
