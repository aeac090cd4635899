"""The runner's HTTP side: who gets in, what is refused before it costs anything, and what supervisors see."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import aiohttp
import pytest
import pytest_asyncio

from shared.http_client import create_http_session
from tests.tools_api.marked import new_marker, until_alive, until_gone
from tests.tools_api.runner.conftest import KEY, LIMITS, serving
from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.sandbox import Job, SandboxFile
from tools_api.sandbox.remote.client import RunnerBusy, RunnerClient
from tools_api.sandbox.remote.wire import MEDIA_TYPE, TreeName, encode_job, max_job_bytes

pytestmark = [pytest.mark.asyncio(loop_scope="session")]

TRUE = b"".join(encode_job(Job(argv=("/bin/true",)), LIMITS, (), live=False))


@pytest_asyncio.fixture(loop_scope="session")
async def client() -> AsyncGenerator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": MEDIA_TYPE}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield session


async def _refused(client: aiohttp.ClientSession, url: str, body: bytes, **headers: str) -> tuple[int, str]:
    async with client.post(f"{url}/v1/runs", data=body, headers=headers) as answer:
        return answer.status, (await answer.json())["error"]["code"]


async def _run_for_ever(client: RunnerClient) -> None:
    while True:
        await client.run([TRUE], LIMITS, None)


@pytest.mark.sandbox
@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x"])
async def test_nobody_gets_in_without_the_key(runner: str, key: str) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": key, "Content-Type": MEDIA_TYPE}) as anybody:
        assert await _refused(anybody, runner, TRUE) == (401, "invalid_api_key")
        async with anybody.get(f"{runner}/v1/runner") as answer:
            assert answer.status == 401


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0\0\0", b"{}", b"\xff" * 100, TRUE[:-1], TRUE + b"x", TRUE.replace(b'"argv"', b'"levl"')],
    ids=len,
)
async def test_what_is_no_job_is_refused_in_words(runner: str, client: aiohttp.ClientSession, body: bytes) -> None:
    assert await _refused(client, runner, body) == (400, "invalid_request_error")


@pytest.mark.sandbox
async def test_other_kinds_of_refusal(runner: str, client: aiohttp.ClientSession) -> None:
    json = {"Content-Type": "application/json"}
    assert await _refused(client, runner, b"{}", **json) == (400, "invalid_request_error")
    unknown = encode_job(Job(argv=("/bin/true",)), LIMITS, (TreeName(target="/etc", version=None),), live=False)
    assert await _refused(client, runner, b"".join(unknown)) == (409, "scripts_differ")
    too_large = replace(LIMITS, input_bytes=max_job_bytes(LIMITS))
    assert await _refused(client, runner, bytes(max_job_bytes(too_large))) == (413, "payload_too_large")


@pytest.mark.sandbox
async def test_a_job_cannot_raise_the_runners_limits(runner: str) -> None:
    async with create_http_session() as session:
        wanted = replace(LIMITS, processes=4000, open_files=100_000)
        job = Job(argv=("/bin/sh", "-c", "ulimit -n; cat in/a"), files=(SandboxFile("in/a", b"file"),), limits=wanted)
        outcome = await RunnerClient(session, runner, KEY).run(encode_job(job, wanted, (), live=False), wanted, None)
    assert outcome.stdout == f"{LIMITS.open_files}\nfile".encode()


@pytest.mark.sandbox
async def test_jobs_beyond_its_places_are_turned_away_and_the_others_end_with_their_callers() -> None:
    need_bubblewrap()
    marker = new_marker()
    sleep = encode_job(Job(argv=("/bin/sh", "-c", f"sleep 600 {marker}")), LIMITS, (), live=False)
    async with serving(sandbox_concurrency=1) as url, create_http_session() as session:
        client = RunnerClient(session, url, KEY)
        running = [asyncio.create_task(client.run(sleep, LIMITS, None)) for _ in range(2)]
        await until_alive(marker)
        with pytest.raises(RunnerBusy):
            await _run_for_ever(client)  # until both of them have their places
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await until_gone(marker)


@pytest.mark.sandbox
async def test_supervisors_need_no_key_and_learn_no_reason(runner: str) -> None:
    async with aiohttp.ClientSession() as anybody:
        for path in ("health", "ready"):
            async with anybody.get(f"{runner}/{path}") as answer:
                assert answer.status == 200
                assert await answer.json() == {"status": "ok", "service": "runner", "sandbox": "ns-seccomp"}


async def test_without_a_sandbox_it_lives_and_is_not_ready_and_takes_nothing(client: aiohttp.ClientSession) -> None:
    async with serving(sandbox_levels=",") as url:
        async with client.get(f"{url}/health") as answer:
            assert (answer.status, (await answer.json())["sandbox"]) == (200, "off")
        async with client.get(f"{url}/ready") as answer:
            assert answer.status == 503
        assert await _refused(client, url, TRUE) == (503, "sandbox_unavailable")
