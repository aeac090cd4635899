"""The whole corpus: deterministic, endless, and every learned message a function of what stands before it."""

import json
from collections import Counter
from itertools import islice

import pytest

pytest.importorskip("wordfreq", reason="the words of the corpus come with the extra `training`")

from main_api.bundled_model.corpus.conversation import segments
from main_api.bundled_model.corpus.mixture import MIXTURE, conversations


def text_of(conversation):
    return "".join(text for text, _ in segments(conversation))


def some(count=60, **fields):
    return list(islice(conversations(3, **fields), count))


def test_the_same_seed_makes_the_same_conversations():
    assert list(map(text_of, some())) == list(map(text_of, some()))


@pytest.mark.slow
def test_it_can_begin_anywhere():
    assert list(map(text_of, some()))[40:] == list(map(text_of, some(20, first=40)))


@pytest.mark.slow
def test_every_skill_occurs():
    assert set(Counter(one.skill for one in some(1500))) == {
        one.skill for name in MIXTURE for one in some(1, only=name)
    }


@pytest.mark.parametrize("skill", list(MIXTURE))
def test_something_is_learned_from_every_conversation(skill):
    for conversation in some(only=skill):
        assert any(learned and text.strip() for text, learned in segments(conversation))


def test_a_step_names_an_offered_tool_with_its_arguments():
    for conversation in some(150, only="react"):
        offered = conversation.messages[0].content
        for message in conversation.messages:
            if not message.learn:
                continue
            step = json.loads(message.content)
            assert list(step) == ["thought", "action", "action_input"]
            if step["action"] != "finish":
                assert f"- {step['action']}({', '.join(step['action_input'])})" in offered


def test_a_plan_names_offered_tools_and_earlier_steps():
    for conversation in some(100, only="plan"):
        offered = conversation.messages[0].content
        for message in conversation.messages:
            if message.learn:
                for number, step in enumerate(json.loads(message.content)["steps"], 1):
                    assert f"- {step['tool']}: " in offered
                    assert all(0 < needed < number for needed in step["needs"])


def test_a_part_of_a_plan_is_copied_from_the_request():
    for conversation in some(100, only="plan"):
        requests = [message.content.casefold() for message in conversation.messages if message.role == "user"]
        for message in conversation.messages:
            if message.learn:
                for step in json.loads(message.content)["steps"]:
                    assert any(step["input"].casefold() in request for request in requests)


def test_held_out_words_are_others():
    from main_api.bundled_model.corpus.language.words import Words

    assert not set(Words(held_out=True)._rare) & set(Words()._rare)
