"""An OpenAI-compatible server that answers every chat with the same bytes: what is left is the gateway's own cost.

Run as `python -m tests.bench.static_upstream PORT`.
"""

import asyncio
import sys
from typing import cast

import orjson
import uvloop

_BODY = orjson.dumps(
    {
        "id": "chatcmpl-static",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "static",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello! How can I help you today?"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }
)
_MODELS = orjson.dumps({"object": "list", "data": [{"id": "static", "object": "model", "owned_by": "bench"}]})


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


_CHAT_RESPONSE, _MODELS_RESPONSE = _response(_BODY), _response(_MODELS)


class _Static(asyncio.Protocol):
    """Answers as soon as a request is complete; knows just enough HTTP/1.1 for keep-alive clients."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = 0
            if (at := head.find(b"content-length:")) >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(_MODELS_RESPONSE if head.startswith(b"get") else _CHAT_RESPONSE)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Static, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
