"""Which tools a request speaks of in their own words."""

import pytest

from main_api.tool_shortlist import ToolWords, one_sentence, spoken_of

WEATHER = ToolWords("get_weather", "Get the current weather of a city.", ("city",))
LIGHT = ToolWords("switch_light", "Switch the light in a room on or off.", ("room", "state"))
TIMER = ToolWords("startTimer", "Start a timer.", ("minutes",))
SEARCH = ToolWords("websearch", "Search the web for current information and facts.", ("query",))
TOOLS = [SEARCH, WEATHER, LIGHT, TIMER]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ("Whats the wether, I mean weather, in Oslo?", ["get_weather"]),
        ("switch off the lights in the attic", ["switch_light"]),
        ("Two timers of 5 minutes each", ["startTimer"]),
        ("The weather in Rome, and start a timer", ["get_weather", "startTimer"]),
    ],
)
def test_a_tool_is_spoken_of_by_its_name_its_sentence_or_its_arguments(request_: str, names: list[str]) -> None:
    assert [TOOLS[position].name for position in spoken_of(request_, TOOLS)] == names


@pytest.mark.parametrize("request_", ["How do you do?", "", "please get me one of all", "Search the web for moths"])
def test_nothing_narrows_the_choice_where_no_words_are_shared_or_the_model_knows_better(request_: str) -> None:
    assert spoken_of(request_, TOOLS) == []


def test_words_that_many_tools_have_count_less() -> None:
    rooms = [ToolWords(f"room_{name}", f"Open the {name} of a room.") for name in ("door", "window", "curtain")]
    assert spoken_of("the window of the room", rooms) == [1]


def test_no_tools_are_no_choice() -> None:
    assert spoken_of("anything", []) == []


def test_a_sentence_has_no_examples() -> None:
    assert one_sentence("Rolls dice, for example 2d6. Then adds.") == "Rolls dice."
