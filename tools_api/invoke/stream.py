"""A call as server-sent events: what the tool prints as it comes, then the result that a plain call answers."""

import asyncio

import orjson

from shared.asgi import openai_error_body
from shared.errors import TwinportError
from shared.sse import Frames
from shared.tools_contract import InvokeRequest
from tools_api.invoke.live import LiveOutput
from tools_api.invoke.service import Invoker

_REFUSED_WITHIN_S = 0.1
"""How long to wait for a refusal, which is an HTTP status only as long as nothing was sent."""
_OPEN = b": open\n\n"


async def call_frames(invoker: Invoker, caller: str, name: str, call: InvokeRequest) -> Frames:
    """Call the tool and yield the frames of its answer. Closing the stream stops the tool. Raises as `invoke` does."""
    live = LiveOutput()
    work = asyncio.create_task(invoker.invoke(caller, name, call, live=live))
    work.add_done_callback(lambda _: live.end())
    try:
        await live.stirs_within(_REFUSED_WITHIN_S)
        if work.done():
            work.result()
        yield _OPEN
        async for piece in live.pieces():
            yield _frame(b"output", orjson.dumps({"stream": piece.stream, "text": piece.text}))
        yield _frame(b"result", (await work).model_dump_json().encode())
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def error_frame(error: TwinportError) -> bytes:
    """Say an error that came after the first frame, in the shape of the others."""
    return _frame(b"error", openai_error_body(error))


def _frame(event: bytes, data: bytes) -> bytes:
    return b"event: " + event + b"\ndata: " + data + b"\n\n"
