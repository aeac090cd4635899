"""A local server that speaks the documented wire formats of Anthropic's and Google's APIs, as a test tells it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

Step = bytes | float


def anthropic(kind: str, **fields: Any) -> bytes:
    """One event of Anthropic's stream."""
    return f"event: {kind}\n".encode() + b"data: " + orjson.dumps({"type": kind, **fields}) + b"\n\n"


def anthropic_answer(*blocks: tuple[dict[str, Any], list[dict[str, Any]]], stop: str = "end_turn") -> list[Step]:
    """A whole answer: content blocks with their deltas, between `message_start` and `message_stop`."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 2},
    }
    events = [anthropic("message_start", message=message), anthropic("ping")]
    for index, (block, deltas) in enumerate(blocks):
        events.append(anthropic("content_block_start", index=index, content_block=block))
        events += [anthropic("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(anthropic("content_block_stop", index=index))
    delta = {"stop_reason": stop, "stop_sequence": None}
    return [*events, anthropic("message_delta", delta=delta, usage={"output_tokens": 5}), anthropic("message_stop")]


def text_block(*texts: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in texts]


def gemini(*parts: dict[str, Any], finish: str | None = None) -> bytes:
    """One event of Google's `streamGenerateContent?alt=sse`."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}
    return b"data: " + orjson.dumps({"candidates": [candidate], "usageMetadata": usage}) + b"\r\n\r\n"


class CloudServer:
    """`script` is what a streamed answer sends: bytes, or seconds to wait; `status` and `body` a refusal."""

    def __init__(self) -> None:
        self.script: list[Step] = []
        self.status = 200
        self.body: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.cut = False
        self.aborted = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["CloudServer"]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            await server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path_qs, dict(request.headers), await request.json()))
        if self.status != 200:
            return web.json_response(self.body, status=self.status, headers=self.headers)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            for step in self.script:
                if isinstance(step, bytes):
                    await response.write(step)
                else:
                    await asyncio.sleep(step)
        except (asyncio.CancelledError, ConnectionError):
            self.aborted.set()
            raise
        if self.cut and request.transport:
            request.transport.abort()
        return response
