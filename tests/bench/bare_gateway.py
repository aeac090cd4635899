"""The least that a gateway can do: an ASGI function that forwards the body with aiohttp. No key, no limit, no check.

Run as `python -m tests.bench.bare_gateway PORT UPSTREAM_URL`.
"""

import sys

import aiohttp
import uvicorn
from starlette.types import Receive, Scope, Send

_session: list[aiohttp.ClientSession] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await receive()
        _session.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await _session.pop().close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    message = await receive()
    async with _session[0].post(sys.argv[2], data=message["body"], headers={"content-type": "application/json"}) as got:
        body = await got.read()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": got.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
