"""The list of tools is kept for a while, and longer while it cannot be renewed."""

import pytest

from main_api.toolbox.catalog import Catalog
from shared.errors import Unavailable
from shared.tools_contract import ToolDefinition

TOOL = ToolDefinition(name="calculator", description="", parameters={}, aliases=("calc",))


class Source:
    """A clock and a tools API that can be down."""

    def __init__(self):
        self.now = 0.0
        self.down = False
        self.fetched = 0
        self.catalog = Catalog(self.fetch, fresh_s=5.0, clock=lambda: self.now)

    async def fetch(self):
        self.fetched += 1
        if self.down:
            raise Unavailable("down")
        return (TOOL,)


async def test_a_fresh_list_is_not_fetched_again_and_an_old_one_is():
    source = Source()
    await source.catalog.definitions(None)
    source.now = 4.9
    await source.catalog.definitions(None)
    assert source.fetched == 1
    source.now = 5.0
    await source.catalog.definitions(None)
    assert source.fetched == 2


async def test_a_list_that_cannot_be_renewed_is_marked_and_tried_again_after_a_second():
    source = Source()
    await source.catalog.definitions(None)
    source.now, source.down = 10.0, True
    assert [tool.available for tool in await source.catalog.definitions(["CALC"])] == [False]
    source.now, source.down = 10.9, False
    assert [tool.available for tool in await source.catalog.definitions(None)] == [False]
    source.now = 11.0
    assert [tool.available for tool in await source.catalog.definitions(None)] == [True]
    assert source.fetched == 3


async def test_without_any_list_the_tools_are_unavailable():
    source = Source()
    source.down = True
    with pytest.raises(Unavailable):
        await source.catalog.definitions(None)


async def test_names_are_resolved_by_alias_and_left_alone_otherwise():
    source = Source()
    assert source.catalog.resolve("calc") == "calc"
    await source.catalog.definitions(None)
    assert source.catalog.resolve("Calc") == "calculator"
    assert source.catalog.resolve("other") == "other"


async def test_a_tool_may_say_that_it_takes_longer():
    slow = ToolDefinition(name="slow", description="", parameters={}, aliases=("slug",), timeout_s=300)

    async def fetch():
        return (TOOL, slow)

    catalog = Catalog(fetch, fresh_s=5.0)
    assert catalog.timeout_of("slow") is None
    await catalog.definitions(None)
    assert (catalog.timeout_of("calculator"), catalog.timeout_of("Slug")) == (None, 300)
