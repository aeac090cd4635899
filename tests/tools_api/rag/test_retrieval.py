"""How retrieval opens, fails, is tried again and closes, with parts made for the test."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from shared.errors import Unavailable
from tools_api.rag.parts import Parts
from tools_api.rag.retrieval import RagUnavailable, Retrieval

PARTS = cast("Parts", object())


class Opening:
    """Fails as often as it has failures, then opens; says what happened in which order."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.happened: list[str] = []
        self.may_open = asyncio.Event()
        self.may_open.set()

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Parts]:
        self.happened.append("opening")
        await self.may_open.wait()
        if self.failures:
            raise self.failures.pop(0)
        try:
            yield PARTS
        finally:
            self.happened.append("closed")


async def test_nothing_is_opened_before_it_is_needed_and_then_once() -> None:
    opening = Opening()
    retrieval = Retrieval(opening)
    before = retrieval.standing.state
    given = await asyncio.gather(*(retrieval.parts() for _ in range(20)))

    assert before == "idle"
    assert given == [PARTS] * 20
    assert (retrieval.standing.state, opening.happened) == ("open", ["opening"])
    await retrieval.aclose()
    assert opening.happened == ["opening", "closed"]


async def test_a_call_that_comes_while_it_opens_waits_and_then_gives_up() -> None:
    opening = Opening()
    opening.may_open.clear()
    retrieval = Retrieval(opening, patience_s=0.02)
    retrieval.start()

    with pytest.raises(RagUnavailable, match="being started"):
        await retrieval.parts()
    assert retrieval.standing.state == "opening"
    opening.may_open.set()
    while retrieval.standing.state != "open":
        await asyncio.sleep(0)
    assert await retrieval.parts() is PARTS
    await retrieval.aclose()


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Unavailable("The database cannot be reached."), "The database cannot be reached"),
        (ModuleNotFoundError("No module named 'faiss'", name="faiss"), "faiss is missing"),
        (PermissionError(13, "Permission denied", "/secret/path"), "Permission denied"),
        (RuntimeError("secret detail"), "the log"),
    ],
)
async def test_a_failure_is_told_without_secrets_and_tried_again(failure: Exception, reason: str) -> None:
    opening = Opening(failure)
    retrieval = Retrieval(opening, retry_s=0.05)
    with pytest.raises(RagUnavailable, match=reason) as refused:
        await retrieval.parts()

    assert "secret" not in refused.value.message
    assert refused.value.retry_after
    assert retrieval.standing.state == "failed"
    while retrieval.standing.state != "open":
        await asyncio.sleep(0.01)
    assert await retrieval.parts() is PARTS
    await retrieval.aclose()


async def test_it_closes_while_it_waits_to_try_again_and_never_opens_afterwards() -> None:
    opening = Opening(*[OSError(28, "No space left on device")] * 3)
    retrieval = Retrieval(opening, retry_s=3600)
    with pytest.raises(RagUnavailable):
        await retrieval.parts()
    await retrieval.aclose()

    with pytest.raises(RagUnavailable, match="stops"):
        await retrieval.parts()
    assert opening.happened == ["opening"]


async def test_one_that_nobody_used_closes_at_once() -> None:
    opening: Any = Opening()
    await Retrieval(opening).aclose()

    assert opening.happened == []
