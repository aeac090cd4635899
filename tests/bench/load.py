"""A load generator that costs little: raw keep-alive connections that send one prepared request again and again.

Run as `python -m tests.bench.load HOST PORT CONNECTIONS SECONDS < REQUEST`; prints a JSON object with the requests per
second, the latencies' percentiles in milliseconds and the number of answers that were not 200.
"""

import asyncio
import sys
import time
from typing import cast

import orjson
import uvloop


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, latencies: list[float]) -> None:
        self._request = request
        self._latencies = latencies
        self._buffer = b""
        self.failures = 0
        self.lost = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost += 1

    def close(self) -> None:
        self._transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        length = int(head[head.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        self._latencies.append(time.perf_counter() - self._sent)
        self.failures += not head.startswith(b"http/1.1 200")
        self._buffer = b""
        self._send()


async def _run(host: str, port: int, connections: int, seconds: float, request: bytes) -> None:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    made = [
        (await loop.create_connection(lambda: _Connection(request, latencies), host, port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds / 4)  # warm up
    latencies.clear()
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed, done = time.perf_counter() - started, sorted(latencies)
    report = {
        "per_second": len(done) / elapsed,
        "p50_ms": done[len(done) // 2] * 1000 if done else None,
        "p99_ms": done[int(len(done) * 0.99)] * 1000 if done else None,
        "failures": sum(c.failures for c in made),
        "lost": sum(c.lost for c in made),
    }
    print(orjson.dumps(report).decode())
    for connection in made:
        connection.close()


if __name__ == "__main__":
    _, host, port, connections, seconds = sys.argv
    uvloop.run(_run(host, int(port), int(connections), float(seconds), sys.stdin.buffer.read()))
