"""Lists and citations one piece at a time: the model fills in, code counts."""

import json

from main_api.agents.piecewise import NOT_IN_SOURCES, Piecewise
from tests.main_api.agents.fakes import PROMPTS, ScriptedModel, says

SOURCES = ("The office opens at nine. It closes at five.", "Parking is free for visitors.")


def slide(title):
    return says(json.dumps({"title": title, "bullets": ["one", "two"]}))


async def test_questions_are_asked_for_until_there_are_enough():
    model = ScriptedModel(says("What are bees?"), says("How do bees work?"), says("Who needs bees?"))
    assert await Piecewise(model, PROMPTS).questions("bees", 2) == ["What are bees?", "How do bees work?"]
    assert [messages[-1]["content"] for messages in model.asked] == [
        "Topic: bees",
        "Topic: bees\nAsked so far:\n1. What are bees?",
    ]


async def test_a_model_that_repeats_itself_ends_the_list():
    model = ScriptedModel(says("What are bees?"), says("What are bees?"))
    assert await Piecewise(model, PROMPTS).questions("bees", 5) == ["What are bees?"]


async def test_the_last_slide_is_announced():
    model = ScriptedModel(slide("Overview"), slide("Summary"))
    slides = await Piecewise(model, PROMPTS).slides("bees", 2)
    assert [(one.title, one.bullets) for one in slides] == [("Overview", ("one", "two")), ("Summary", ("one", "two"))]
    assert model.asked[1][-1]["content"] == "Topic: bees\nSlides so far:\n1. Overview\nThis is the last slide."
    assert model.options[1]["response_format"]["type"] == "json_schema"


async def test_a_slide_that_cannot_be_read_ends_the_outline():
    model = ScriptedModel(slide("Overview"), says("I cannot do that."))
    assert len(await Piecewise(model, PROMPTS).slides("bees", 4)) == 1


async def test_the_number_of_a_citation_comes_from_where_the_sentence_stands():
    model = ScriptedModel(says("Parking is free for visitors. [1]"))
    answer = await Piecewise(model, PROMPTS).cited("Is parking free?", SOURCES)
    assert (str(answer), answer.source) == ("Parking is free for visitors. [2]", 2)


async def test_a_sentence_that_stands_nowhere_is_no_answer():
    model = ScriptedModel(says("The office opens at ten. [1]"))
    answer = await Piecewise(model, PROMPTS).cited("When does the office open?", SOURCES)
    assert (str(answer), answer.source) == (NOT_IN_SOURCES, None)
