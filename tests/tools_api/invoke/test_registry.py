"""Finding tools."""

import pytest

from shared.errors import NotFound
from tests.tools_api.fakes import FakeTool
from tools_api.invoke.registry import ToolRegistry


def test_a_tool_is_found_by_name_and_by_alias() -> None:
    tool = FakeTool(name="calculator", aliases=("calc",))
    registry = ToolRegistry([tool])

    assert registry.find("calculator").tool is tool
    assert registry.find("calc").tool is tool
    assert [definition.name for definition in registry.definitions()] == ["calculator"]


def test_an_unknown_tool_is_not_found_and_the_message_says_what_there_is() -> None:
    registry = ToolRegistry([FakeTool(name="a"), FakeTool(name="b")])

    with pytest.raises(NotFound, match="there are: a, b"):
        registry.find("c")


def test_two_tools_of_one_name_do_not_start() -> None:
    with pytest.raises(ValueError, match="calc"):
        ToolRegistry([FakeTool(name="calc"), FakeTool(name="other", aliases=("calc",))])


def test_availability_is_asked_every_time() -> None:
    tool = FakeTool()
    registry = ToolRegistry([tool])
    tool.available = False

    assert not registry.definitions()[0].available
