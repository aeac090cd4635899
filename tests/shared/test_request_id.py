"""Ids of requests."""

import asyncio
import re

import pytest

from shared.request_id import bind_request_id, current_request_id


@pytest.mark.parametrize("offered", ["req_1", "a" * 128, "01J.x:y-z_0"])
async def test_a_harmless_id_is_taken(offered: str) -> None:
    assert bind_request_id(offered) == offered == current_request_id()


@pytest.mark.parametrize("offered", [None, "", "a" * 129, "a b", 'a"b', "a\n", "a\x00", "ü", "<x>"])
async def test_anything_else_is_replaced(offered: str | None) -> None:
    assert re.fullmatch(r"req_[0-9a-f]{24}", bind_request_id(offered))


async def test_two_requests_at_once_keep_their_own() -> None:
    async def request(name: str) -> str:
        bind_request_id(name)
        await asyncio.sleep(0.001)
        return current_request_id()

    names = [f"r{number}" for number in range(10)]
    assert await asyncio.gather(*(request(name) for name in names)) == names
