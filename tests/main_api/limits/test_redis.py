"""Limits that replicas share, on a real Redis; and what happens when it dies."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from main_api.limits.limit import SIGN_UP_PER_ADDRESS
from main_api.limits.service import RateLimiter
from shared.errors import RateLimited
from tests.main_api.limits.test_service import allowed

pytestmark = pytest.mark.slow


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    program = shutil.which("redis-server")
    if not program:
        pytest.skip("no redis-server on this machine")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not _answers(port):
        assert time.monotonic() < deadline, "Redis did not start"
        time.sleep(0.02)
    yield f"redis://127.0.0.1:{port}/0", server
    server.kill()
    server.wait(10)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


async def test_two_replicas_share_one_limit_exactly(redis: tuple[str, subprocess.Popen[bytes]]) -> None:
    first, second = (RateLimiter(redis_url=redis[0], requests_per_minute=100) for _ in range(2))
    assert await allowed(first, "key:1", 60) + await allowed(second, "key:1", 60) == 100
    await first.aclose()
    await second.aclose()


async def test_a_shared_limit_says_when_to_come_back_and_can_be_forgotten(
    redis: tuple[str, subprocess.Popen[bytes]],
) -> None:
    first, second = (RateLimiter(redis_url=redis[0]) for _ in range(2))
    for _ in range(3):
        await first.hit(SIGN_UP_PER_ADDRESS, "a")
    with pytest.raises(RateLimited) as caught:
        await second.hit(SIGN_UP_PER_ADDRESS, "a")
    assert caught.value.retry_after == pytest.approx(3600, abs=2)
    await second.forget(SIGN_UP_PER_ADDRESS, "a")
    await first.hit(SIGN_UP_PER_ADDRESS, "a")
    await first.aclose()
    await second.aclose()


async def test_without_redis_each_process_keeps_the_limit_by_itself(
    redis: tuple[str, subprocess.Popen[bytes]],
) -> None:
    limiter = RateLimiter(redis_url=redis[0], requests_per_minute=10)
    assert await allowed(limiter, "key:1", 5) == 5
    redis[1].kill()
    redis[1].wait(10)
    assert 5 <= await allowed(limiter, "key:1", 100) <= 10  # less if a busy Redis was late before
    for _ in range(3):
        await limiter.hit(SIGN_UP_PER_ADDRESS, "a")
    with pytest.raises(RateLimited):
        await limiter.hit(SIGN_UP_PER_ADDRESS, "a")
    await limiter.aclose()


async def test_a_redis_that_hangs_delays_one_call_and_not_each(redis: tuple[str, subprocess.Popen[bytes]]) -> None:
    import os
    import signal

    limiter = RateLimiter(redis_url=redis[0], requests_per_minute=1000)
    await limiter.hit_request("key:1")
    os.kill(redis[1].pid, signal.SIGSTOP)
    waits: list[float] = []
    for _ in range(50):
        started = time.perf_counter()
        await limiter.hit_request("key:1")
        waits.append(time.perf_counter() - started)
    assert sum(waits) < 2 * max(waits), "one waits for an answer, the others together for less than that"
    os.kill(redis[1].pid, signal.SIGCONT)
    await limiter.aclose()
