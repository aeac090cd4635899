"""Bodies on their way through: nothing is kept back, nobody who has left is worked for, nobody slow costs memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from tests.main_api.rag.conftest import Rag
from tests.main_api.served.platform import Platform

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

DOCUMENTS = "/v1/rag/collections/c/documents"
PATIENCE_S = 20


class Watched:
    """A handler of the tools API that reads what comes, and knows when the caller has gone."""

    def __init__(self) -> None:
        self.received = b""
        self.first = asyncio.Event()
        self.begun = asyncio.Event()
        self.gone = asyncio.Event()
        self.sent = 0

    async def swallow(self, request: web.Request) -> web.StreamResponse:
        """Read the body, then answer nothing for long."""
        try:
            async for piece in request.content.iter_any():
                self.received += piece
                self.first.set()
            self.begun.set()
            await asyncio.sleep(600)
        except BaseException:
            self.gone.set()
            raise
        raise AssertionError

    async def pour(self, request: web.Request) -> web.StreamResponse:
        """Send a file without an end, as quickly as it is taken."""
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
                self.sent += 65_536
                self.begun.set()
        except BaseException:
            self.gone.set()
            raise

    async def tell(self, request: web.Request) -> web.StreamResponse:
        """Send two events, then be silent."""
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(b'event: job\ndata: {"perc')
            await response.write(b'ent": 1}\n\nevent: job\nda')
            self.begun.set()
            await asyncio.sleep(600)
        except BaseException:
            self.gone.set()
            raise
        raise AssertionError


async def happened(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await event.wait()


def headers(served: Platform) -> dict[str, str]:
    return {"authorization": f"Bearer {served.person}", "content-type": "application/octet-stream"}


async def test_an_upload_arrives_while_it_is_sent(served: Platform, rag: Rag) -> None:
    watched = Watched()
    rag.does(watched.swallow)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"the beginning"
        await happened(watched.first)
        yield b" and the end"

    call = asyncio.create_task(served.http.post(served.url + DOCUMENTS, data=slowly(), headers=headers(served)))
    await happened(watched.begun)
    assert watched.received == b"the beginning and the end"
    call.cancel()
    await happened(watched.gone)  # who waits for an answer and leaves ends the call, too


async def test_a_caller_who_leaves_while_sending_ends_the_call(served: Platform, rag: Rag) -> None:
    watched = Watched()
    rag.does(watched.swallow)

    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        await asyncio.sleep(600)

    call = asyncio.create_task(served.http.post(served.url + DOCUMENTS, data=half(), headers=headers(served)))
    await happened(watched.first)
    call.cancel()
    await happened(watched.gone)
    assert not watched.begun.is_set()
    assert await served.settled() == set()


@pytest.mark.parametrize("way", ["pour", "tell"])
async def test_a_caller_who_leaves_while_reading_ends_the_call(served: Platform, rag: Rag, way: str) -> None:
    watched = Watched()
    rag.does(getattr(watched, way))
    path = "/v1/rag/collections/c/export" if way == "pour" else "/v1/rag/jobs/j/events"
    async with served.http.get(served.url + path, headers=headers(served)) as response:
        assert await response.content.readany()
        response.close()
    await happened(watched.gone)
    assert await served.settled() == set()


async def test_a_caller_who_reads_nothing_stops_the_tools_api(served: Platform, rag: Rag) -> None:
    watched = Watched()
    rag.does(watched.pour)
    async with served.http.get(served.url + "/v1/rag/collections/c/snapshot", headers=headers(served)):
        await happened(watched.begun)
        before = -1
        async with asyncio.timeout(PATIENCE_S):
            while watched.sent != before:  # until nothing moves any more
                before = watched.sent
                await asyncio.sleep(0.3)
    assert watched.sent < 64 * 2**20  # what sockets hold; a process that buffers would take gigabytes in that time
    await happened(watched.gone)


async def test_events_come_whole_and_at_once(served: Platform, rag: Rag) -> None:
    watched = Watched()
    rag.does(watched.tell)
    async with served.http.get(served.url + "/v1/rag/jobs/j/events", headers=headers(served)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        async with asyncio.timeout(PATIENCE_S):
            assert await response.content.readany() == b'event: job\ndata: {"percent": 1}\n\n'


async def test_events_that_break_off_end_with_an_error(served: Platform, rag: Rag) -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\ndata: 2")
        assert request.transport is not None
        await asyncio.sleep(0.05)
        request.transport.abort()
        return response

    rag.does(breaks_off)
    answer = await served.call("GET", "/v1/rag/jobs/j/events", key=served.person)
    first, last, rest = answer.raw.split(b"\n\n")
    assert (answer.status, first, rest) == (200, b"data: 1", b"")
    assert last.startswith(b'event: error\ndata: {"error":{"message":"The tools API broke off')


async def test_the_place_where_events_go_on_is_passed(served: Platform, rag: Rag) -> None:
    rag.answers({})
    await served.call("GET", "/v1/rag/jobs/j/events", key=served.person, headers={"last-event-id": "17"})
    assert rag.asked.headers["last-event-id"] == "17"


async def test_a_file_that_breaks_off_is_seen_to_be_no_whole_one(served: Platform, rag: Rag) -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        await asyncio.sleep(0.05)
        request.transport.abort()
        return response

    rag.does(breaks_off)
    with pytest.raises(aiohttp.ClientPayloadError):
        await served.call("GET", "/v1/rag/collections/c/snapshot", key=served.person)


async def test_a_refusal_in_the_middle_of_an_upload_arrives(served: Platform, rag: Rag) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"error": {"message": "The disk is full.", "code": "insufficient_storage"}}, status=507
        )

    rag.does(refuse)
    answer = await served.call("POST", DOCUMENTS, b"x" * 5_000_000, key=served.person)
    assert (answer.status, answer.error["message"]) == (507, "The disk is full.")
    assert await served.settled() == set()


async def test_uploads_have_a_limit_of_their_own(served: Platform, rag: Rag) -> None:
    rag.answers({"job": "j"}, status=202)
    large = b"x" * (21 * 2**20)  # more than other requests may have
    assert (await served.call("POST", DOCUMENTS, large, key=served.person)).status == 202
    assert (await served.call("POST", "/v1/rag/search", large, key=served.person)).status == 413
    too_large = {"authorization": f"Bearer {served.person}", "content-length": str(2**32)}
    calls = rag.calls
    async with served.http.post(served.url + "/v1/rag/restore", headers=too_large) as answer:
        assert answer.status == 413
        assert "RAG_MAX_UPLOAD_MB" in (await answer.json())["error"]["message"]
    assert rag.calls == calls


async def test_many_who_leave_leave_nothing_behind(served: Platform, rag: Rag) -> None:
    watched = Watched()
    rag.does(watched.tell)

    async def leave(after: Callable[[], float]) -> None:
        async with AsyncExitStack() as stack:
            call = served.http.get(served.url + "/v1/rag/jobs/j/events", headers=headers(served))
            stack.enter_context(pytest.raises(asyncio.TimeoutError))
            async with asyncio.timeout(after()):
                await (await call).read()

    await asyncio.gather(*(leave(lambda n=n: 0.01 * n) for n in range(60)))
    assert await served.settled() == set()
