"""Tokens per second of the bundled model through our API over those of its engine asked directly, in the same run.

    python -m tests.bench.engine [--rounds 7] [--tokens 160]

Two engines of the same kind run: one behind the main API (API key, limits, usage records and prompt log on), one that
this program starts with the same code and asks itself. Rounds alternate between the two ways, so that both meet the
same machine; the median is compared. Goal: at least 0.95 at 1, 4 and 8 streams at once.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import orjson

from main_api.backends.engine import EngineOptions
from main_api.backends.engine_process import EngineProcess
from main_api.backends.local_launch import LlamaCpp
from main_api.backends.local_models import scan
from shared.http_client import create_http_session
from tests.bench.gateway import free_port, twinport

PROMPTS = ("Hello!", "Calculate 12 * 7", "Who are you?", "Search the web for tides")
Ask = Callable[[int], Awaitable[int]]


def body(number: int, tokens: int) -> bytes:
    """A request whose answer has exactly `tokens` tokens: the end token (2) is ruled out."""
    request = {
        "model": "local/twinport-tiny",
        "messages": [{"role": "user", "content": PROMPTS[number % len(PROMPTS)]}],
        "max_tokens": tokens,
        "temperature": 0,
        "logit_bias": {"2": -100},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return orjson.dumps(request)


async def ask(session: aiohttp.ClientSession, url: str, key: str, payload: bytes) -> int:
    """Read one streamed answer to its end and return its number of tokens."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "connection": "close"}
    tail = b""
    async with session.post(f"{url}/v1/chat/completions", data=payload, headers=headers) as answer:
        async for piece in answer.content.iter_any():
            tail = (tail + piece)[-4000:]
    usage = [line for line in tail.split(b"\n") if b'"completion_tokens"' in line][-1]
    return orjson.loads(usage.removeprefix(b"data: "))["usage"]["completion_tokens"]


async def tokens_per_second(way: Ask, streams: int) -> float:
    started = time.perf_counter()
    counts = [await asyncio.gather(*(way(number) for number in range(streams))) for _ in range(max(1, 8 // streams))]
    return sum(sum(count) for count in counts) / (time.perf_counter() - started)


async def compare(api_url: str, api_key: str, options: argparse.Namespace, folder: Path) -> None:
    engine_options = EngineOptions(log_dir=folder / "engine-logs")
    spec = LlamaCpp().spec("local/twinport-tiny", scan(folder, {})["twinport-tiny"], engine_options)
    async with create_http_session() as session:
        log_file = folder / "engine.log"
        process = await EngineProcess.start(spec.launch, log_file=log_file, session=session, timeout_s=60)
        ways: dict[str, Ask] = {
            "direct": lambda number: ask(session, process.url, process.api_key, body(number, options.tokens)),
            "api": lambda number: ask(session, api_url, api_key, body(number, options.tokens)),
        }
        for way in ways.values():
            await tokens_per_second(way, 8)  # loads the engine and warms both up
        print(f"{'streams':>8} {'direct t/s':>11} {'api t/s':>9} {'ratio':>6}")
        for streams in (1, 4, 8):
            rates: dict[str, list[float]] = {"direct": [], "api": []}
            for turn in range(options.rounds):
                for name in ("direct", "api") if turn % 2 else ("api", "direct"):
                    rates[name].append(await tokens_per_second(ways[name], streams))
            direct, api = (statistics.median(rates[name]) for name in ("direct", "api"))
            print(f"{streams:8} {direct:11.0f} {api:9.0f} {api / direct:6.2f}  (goal 0.95)")
        await process.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=160)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, twinport(free_port(), Path(name)) as (port, key, _):
        asyncio.run(compare(f"http://127.0.0.1:{port}", key, options, Path(name)))


if __name__ == "__main__":
    main()
