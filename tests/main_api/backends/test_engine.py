"""The supervisor with a stand-in engine: real child processes that start, hang, crash and must never be left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from main_api.backends.breaker import CircuitBreaker
from main_api.backends.engine import EngineOptions, EngineSpec, EngineStopped, EngineUnavailable
from main_api.backends.engine_failures import reason_of
from main_api.backends.engine_metrics import EngineCollector
from main_api.backends.engine_pool import EnginePool
from main_api.backends.engine_process import PYTHON, Launch, cap_log
from main_api.backends.protocol import ModelRequest
from main_api.events import ChoiceFinished, TextDelta
from shared.errors import Unavailable

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
MakePool = Callable[..., EnginePool]
REQUEST = ModelRequest(model="m", messages=[{"role": "user", "content": "Hi"}])


def spec(model: str = "test/a", *arguments: str, version: str = "") -> EngineSpec:
    argv = (PYTHON, "-m", "tests.main_api.backends.engine_server", *arguments)
    return EngineSpec(model=model, launch=Launch(argv=argv), version=version)


@pytest.fixture
async def make_pool(session: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[MakePool]:
    pools: list[EnginePool] = []

    def make(**options: Any) -> EnginePool:
        pools.append(EnginePool(EngineOptions(log_dir=tmp_path / "logs", **options), session))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.aclose()


async def chat(pool: EnginePool, engine: EngineSpec) -> str:
    async with pool.use(engine) as client:
        events = [event async for event in client.stream(REQUEST)]
    assert events[-1] == ChoiceFinished("stop")
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def pid_of(pool: EnginePool, model: str = "test/a") -> int:
    pid = next(status.pid for status in pool.status() if status.model == model)
    assert pid is not None
    return pid


async def until(condition: Callable[[], bool], *, within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.001)


async def test_starts_on_demand_once_for_many(make_pool: MakePool) -> None:
    pool = make_pool()
    assert pool.status() == []
    assert await asyncio.gather(*(chat(pool, spec()) for _ in range(10))) == ["x"] * 10
    assert pool.status()[0].restarts == 0


async def test_a_caller_who_goes_away_does_not_stop_the_start_for_others(make_pool: MakePool) -> None:
    pool = make_pool()
    slow = spec("test/a", "--start-s", "0.3")
    impatient = asyncio.create_task(chat(pool, slow))
    patient = asyncio.create_task(chat(pool, slow))
    await until(lambda: bool(pool.status()) and pool.status()[0].state == "starting")
    impatient.cancel()
    assert await patient == "x"


async def test_crash_loop_is_refused_with_the_reason_and_a_time(make_pool: MakePool) -> None:
    pool = make_pool(backoff_s=30)
    crashing = spec("test/a", "--crash-when-asked")
    for _ in range(2):  # the first crash costs no wait
        with pytest.raises(EngineStopped):
            await chat(pool, crashing)
    assert pool.status()[0].state == "backing_off"
    with pytest.raises(EngineUnavailable, match="not enough memory") as caught:
        await chat(pool, crashing)
    assert caught.value.retry_after is not None
    assert 20 < caught.value.retry_after <= 30
    assert "/srv" not in caught.value.message


async def test_crash_loop_does_not_open_the_circuit(make_pool: MakePool) -> None:
    pool = make_pool(backoff_s=30)
    breaker = CircuitBreaker(failures=1)
    outcomes: list[type[Exception]] = []
    for _ in range(4):
        breaker.enter("test/a")
        try:
            await chat(pool, spec("test/a", "--crash-when-asked"))
        except (EngineStopped, EngineUnavailable) as error:
            outcomes.append(type(error))
            breaker.failed("test/a", error)
    assert outcomes == [EngineStopped, EngineStopped, EngineUnavailable, EngineUnavailable]


async def test_an_engine_that_answered_is_no_crash_loop_however_often_it_dies(make_pool: MakePool) -> None:
    pool = make_pool(backoff_s=30)
    for _ in range(4):
        assert await chat(pool, spec()) == "x"
        os.kill(pid_of(pool), signal.SIGKILL)
        await until(lambda: pool.status()[0].state == "stopped")


async def test_a_short_backoff_is_waited_out_by_all(make_pool: MakePool) -> None:
    pool = make_pool(backoff_s=0.3)
    with pytest.raises(EngineUnavailable):
        await chat(pool, spec("test/a", "--fail", "no such thing"))
    started_at = time.monotonic()
    pool._engines["test/a"].spec = spec()  # mended
    assert await asyncio.gather(*(chat(pool, spec()) for _ in range(3))) == ["x"] * 3
    assert time.monotonic() - started_at > 0.2
    assert pool.status()[0].restarts == 0


async def test_waiting_out_a_backoff_can_be_cancelled_and_does_not_outlive_the_pool(make_pool: MakePool) -> None:
    pool = make_pool(backoff_s=0.3)
    failing = spec("test/a", "--fail", "no such thing")
    with pytest.raises(EngineUnavailable):
        await chat(pool, failing)
    leaving, staying = (asyncio.create_task(chat(pool, failing)) for _ in range(2))
    await until(lambda: pool.status()[0].active == 2)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert pool.status()[0].active == 1
    await pool.aclose()
    with pytest.raises(Unavailable, match="shutting down"):
        await staying


async def test_backoff_doubles_and_ends(make_pool: MakePool) -> None:
    pool = make_pool(backoff_s=0.05, longest_backoff_s=0.15)
    failing = spec("test/a", "--fail", "no such thing")
    waits: list[float] = []
    for _ in range(4):
        await until(lambda: time.monotonic() >= pool._engines["test/a"]._retry_at if pool._engines else True)
        with pytest.raises(EngineUnavailable, match="did not start: no such thing") as caught:
            await chat(pool, failing)
        waits.append(caught.value.retry_after or 0)
    assert waits == pytest.approx([0.05, 0.1, 0.15, 0.15], abs=0.03)


@pytest.mark.parametrize(
    ("how", "reason", "patience_s"), [("--hang", "not ready in time", 1.0), ("--garbage", "cannot be understood", 60.0)]
)
async def test_an_engine_that_never_gets_ready_is_ended(
    make_pool: MakePool, how: str, reason: str, patience_s: float
) -> None:
    pool = make_pool(start_timeout_s=patience_s)
    with pytest.raises(EngineUnavailable, match=reason):
        await chat(pool, spec("test/a", how))
    assert not [child for child in psutil.Process().children() if "--hang" in child.cmdline()]


async def test_a_program_that_does_not_exist(make_pool: MakePool) -> None:
    missing = EngineSpec(model="test/a", launch=Launch(argv=("/nonexistent/engine",)))
    with pytest.raises(EngineUnavailable, match="cannot be run"):
        await chat(make_pool(), missing)


async def test_idle_engine_is_unloaded_and_its_memory_is_free(make_pool: MakePool) -> None:
    pool = make_pool(idle_unload_s=0.2)
    before = psutil.Process().memory_info().rss
    await chat(pool, spec("test/a", "--megabytes", "300"))
    pid = pid_of(pool)
    assert psutil.Process(pid).memory_info().rss > 300 << 20
    await until(lambda: pool.status()[0].state == "stopped")
    assert not psutil.pid_exists(pid)
    assert psutil.Process().memory_info().rss - before < 100 << 20, "it was in the process that ended, not in this one"


async def test_a_log_that_cannot_be_cut_does_not_end_the_unloading(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool(idle_unload_s=0.2, log_bytes=-1)
    (tmp_path / "logs" / "test_a.log.1").mkdir(parents=True)
    await chat(pool, spec())
    await until(lambda: pool.status()[0].state == "stopped")


async def test_engine_in_use_is_never_idle(make_pool: MakePool) -> None:
    pool = make_pool(idle_unload_s=0.05)
    async with pool.use(spec()):
        pid = pid_of(pool)
        await asyncio.sleep(0.3)  # six times the limit
        assert psutil.pid_exists(pid)


async def test_longest_idle_engine_gives_way(make_pool: MakePool) -> None:
    pool = make_pool(max_loaded=2)
    for model in ("test/a", "test/b", "test/a", "test/c"):
        await chat(pool, spec(model))
    assert {status.model: status.state for status in pool.status()} == {
        "test/a": "ready",
        "test/b": "stopped",
        "test/c": "ready",
    }


async def test_when_all_engines_are_busy_another_model_waits_its_turn(make_pool: MakePool) -> None:
    pool = make_pool(max_loaded=1)
    async with pool.use(spec("test/a")):
        waiting = asyncio.create_task(chat(pool, spec("test/b")))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    assert await waiting == "x"


async def test_waiting_for_room_ends(make_pool: MakePool) -> None:
    pool = make_pool(max_loaded=1, room_timeout_s=0.1)
    async with pool.use(spec("test/a")):
        with pytest.raises(Unavailable, match="busy"):
            await chat(pool, spec("test/b"))


async def test_two_models_on_one_place_both_get_served_under_load(make_pool: MakePool) -> None:
    pool = make_pool(max_loaded=1)
    answers = await asyncio.gather(*(chat(pool, spec(f"test/{'ab'[i % 2]}")) for i in range(20)))
    assert answers == ["x"] * 20


async def test_cancelling_who_made_room_leaves_the_pool_working(make_pool: MakePool) -> None:
    pool = make_pool(max_loaded=1)
    await chat(pool, spec("test/a"))
    task = asyncio.create_task(chat(pool, spec("test/b")))
    await until(lambda: pool.status()[0].state == "stopping")
    task.cancel()
    assert await chat(pool, spec("test/a")) == "x"
    assert await chat(pool, spec("test/b")) == "x"


async def test_a_replaced_file_gets_a_new_engine(make_pool: MakePool) -> None:
    pool = make_pool()
    await chat(pool, spec(version="1"))
    first = pid_of(pool)
    await chat(pool, spec(version="2"))
    assert pid_of(pool) != first
    assert not psutil.pid_exists(first)


async def test_closing_ends_engines_even_those_that_start(make_pool: MakePool) -> None:
    pool = make_pool()
    await chat(pool, spec("test/a"))
    starting = asyncio.create_task(chat(pool, spec("test/b", "--hang")))
    await until(lambda: pool.status()[-1].state == "starting")
    await pool.aclose()
    with pytest.raises(EngineUnavailable):
        await starting
    with pytest.raises(Unavailable, match="shutting down"):
        await chat(pool, spec("test/a"))
    await until(lambda: not [c for c in psutil.Process().children() if "engine_server" in " ".join(c.cmdline())])


PARENT = """
import asyncio, sys
from pathlib import Path
from main_api.backends.engine import EngineOptions
from main_api.backends.engine_pool import EnginePool
from shared.http_client import create_http_session
from tests.main_api.backends.test_engine import spec

async def main():
    async with create_http_session() as session:
        pool = EnginePool(EngineOptions(log_dir=Path(sys.argv[1])), session)
        async with pool.use(spec("test/a", *sys.argv[2:])):
            print("child", pool.status()[0].pid, flush=True)
            await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_no_orphan_after_kill_9_of_the_api(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), stdout=subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    line = b""
    while not line.startswith(b"child "):  # after the parent's own log
        line = await parent.stdout.readline()
        assert line
    child = int(line.split()[1])
    assert psutil.pid_exists(child)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await until(lambda: not _runs(child))


async def test_the_end_of_stdin_alone_ends_a_child(tmp_path: Path) -> None:
    """Where the kernel has no PR_SET_PDEATHSIG, the pipe is what ties the child to its parent."""
    child = await asyncio.create_subprocess_exec(
        PYTHON, "-m", "tests.main_api.backends.engine_server", stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f'{{"parent_pid": {os.getpid()}, "api_key": "k"}}\n'.encode())
    assert b"http://127.0.0.1" in await child.stdout.readline()
    child.stdin.close()
    async with asyncio.timeout(30):
        assert await child.wait() == 0


async def test_children_get_no_secrets_of_the_environment(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    pool = make_pool()
    await chat(pool, spec())
    assert "sk-planted" not in str(psutil.Process(pid_of(pool)).environ())


async def test_log_is_kept_and_rotated(make_pool: MakePool, tmp_path: Path) -> None:
    pool = make_pool()
    log = tmp_path / "logs" / "test_a.log"
    await chat(pool, spec())
    assert "POST" in log.read_text()
    await pool.unload("test/a")
    await chat(pool, spec())
    assert "POST" in log.with_name("test_a.log.1").read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_log_that_grows_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"a" * 900 + b"z" * 200)
    cap_log(log, 1000)
    assert log.stat().st_size == 0
    assert log.with_name("x.log.1").read_bytes().endswith(b"z" * 200)


async def test_status_and_metrics(make_pool: MakePool) -> None:
    pool = make_pool()
    registry = CollectorRegistry()
    registry.register(EngineCollector(pool.status))
    async with pool.use(spec()):
        status = pool.status()[0]
        assert (status.state, status.active, status.restarts) == ("ready", 1, 0)
        assert status.loaded_since is not None
        assert 'twinport_engine_active_requests{model="test/a"} 1.0' in generate_latest(registry).decode()
    assert 'twinport_engine_ready{model="test/a"} 1.0' in generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("status", "log", "words"),
    [
        (-9, b"failed to load model", "killed"),
        (-11, b"", "SIGSEGV"),
        (1, b"error loading model: unknown model architecture: 'x'", "architecture"),
        (1, b"ModuleNotFoundError: No module named 'xllamacpp'", "not installed"),
        (3, b"nothing known", "status 3"),
        (None, b"", "not ready in time"),
    ],
)
def test_reasons_are_plain_words(status: int | None, log: bytes, words: str) -> None:
    assert words in reason_of(status, log)


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
