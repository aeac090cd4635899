"""Whatever is wrong with a runner: the level is unavailable at once, in words to act on, and nothing has run."""

import asyncio
import socket
import time

import pytest

from shared.http_client import create_http_session
from tests.tools_api.runner.conftest import KEY, LIMITS, Peer, remote_sandbox, serving
from tools_api.python_coder.runtime import SCRIPTS
from tools_api.sandbox import Job, LevelFailed, ReadOnlyTree, RemoteOptions, Sandbox, SandboxFile, SandboxUnavailable
from tools_api.sandbox.remote import Remote
from tools_api.sandbox.remote.client import JobRefused, RunnerBrokeOff, RunnerClient
from tools_api.sandbox.remote.wire import MEDIA_TYPE, Kind, encode_job, frame

GARBAGE = b"\x00\xff not HTTP at all"
HTML = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nhello"
TOO_MUCH = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + b"[" * 1_000_000
NOTHING = b""
REDIRECT = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
OPEN_TO_ALL = (
    b'{"protocol":1,"available":true,"level":"ns-seccomp","reason":null,"memory":"cgroup","python":"3.11",'
    b'"checks":{"secret_unreadable":true},"trees":[]}'
)


def _as_json(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "answer",
    [GARBAGE, HTML, TOO_MUCH, NOTHING, REDIRECT, _as_json(OPEN_TO_ALL), _as_json(b'{"protocol":99}')],
    ids=["garbage", "a web page", "too much", "nothing", "a redirect", "one that lets everyone in", "another protocol"],
)
async def test_who_is_no_runner_is_not_used(peer: Peer, answer: bytes) -> None:
    async with peer(answer) as url:
        started = time.monotonic()
        async with remote_sandbox(url) as sandbox:
            assert not sandbox.report.available
            assert sandbox.report.passed_over[0].level == "remote"
            with pytest.raises(SandboxUnavailable) as raised:
                await sandbox.run(Job(argv=("/bin/true",)))
        assert (raised.value.status, raised.value.code) == (503, "sandbox_unavailable")
        assert time.monotonic() - started < 15


async def test_a_runner_that_is_not_there() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and nobody listens
        async with remote_sandbox(f"http://127.0.0.1:{reserved.getsockname()[1]}") as sandbox:
            assert "can't be reached" in (sandbox.report.reason or "")


@pytest.mark.sandbox
@pytest.mark.asyncio(loop_scope="session")
async def test_a_wrong_key_is_said(runner: str) -> None:
    async with remote_sandbox(runner, key="w" * 40) as sandbox:
        assert "SANDBOX_REMOTE_KEY" in (sandbox.report.reason or "")
        assert "w" * 40 not in str(sandbox.report)


@pytest.mark.sandbox
@pytest.mark.asyncio(loop_scope="session")
async def test_other_scripts_are_refused(runner: str) -> None:
    other = ReadOnlyTree(SCRIPTS.source.parent / "tool.py", SCRIPTS.target)
    level = Remote(RemoteOptions(url=runner, key=KEY, scripts=(other,)), most=LIMITS)
    with pytest.raises(LevelFailed, match="scripts_same"):
        await level.probe()
    await level.aclose()
    trusting = Remote(RemoteOptions(url=runner, key=KEY), most=LIMITS)
    await trusting.probe()
    job = Job(script=f"{SCRIPTS.target}/run_code.py", payload=b"1", trees=(other,))
    with pytest.raises(LevelFailed, match="same version"):
        await trusting.run(job, LIMITS, None)
    await trusting.aclose()


async def test_without_a_url_there_is_no_runner() -> None:
    async with remote_sandbox(None) as sandbox:
        assert "SANDBOX_REMOTE_URL" in (sandbox.report.reason or "")


async def test_a_runner_without_a_sandbox_says_why() -> None:
    async with serving(sandbox_levels=",") as url, remote_sandbox(url) as sandbox:
        assert not sandbox.report.available
        assert "SANDBOX_LEVELS" in (sandbox.report.reason or "")


def _answering(*frames: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {MEDIA_TYPE}\r\nconnection: close\r\n\r\n"
    return head.encode() + b"".join(frames)


@pytest.mark.parametrize(
    "answer",
    [
        _answering(b"?\0\0\0\0"),
        _answering(frame(Kind.ALIVE), b"r\xff\xff\xff\xff"),
        _answering(b"o\x7f\xff\xff\xff"),
        _answering(frame(Kind.STDOUT, b"unasked")),
        _answering(frame(Kind.RESULT, b"no head")),
        _answering(frame(Kind.RESULT, b"\0\0\0\x02{}")),
        _answering(frame(Kind.RESULT, b"\0\0\0\x14" + b'{"blobs":{},"files":' + b"[")),
        _answering(frame(Kind.ERROR, b"\x80\x04K\x01.")),
    ],
    ids=["kind", "too large", "too large output", "unasked output", "no head", "empty head", "cut head", "a pickle"],
)
async def test_an_answer_that_is_none_loses_the_run_and_nothing_else(peer: Peer, answer: bytes) -> None:
    async with peer(answer) as url, create_http_session() as session:
        client = RunnerClient(session, url, KEY)
        with pytest.raises(RunnerBrokeOff):
            await client.run(encode_job(Job(argv=("/bin/true",)), LIMITS, (), live=False), LIMITS, None)


async def test_a_flood_of_output_is_cut_off(peer: Peer) -> None:
    heard: list[bytes] = []
    flood = frame(Kind.STDOUT, b"x" * 65_536)
    async with peer(_answering(*[flood] * 40)) as url, create_http_session() as session:
        with pytest.raises(RunnerBrokeOff):
            await RunnerClient(session, url, KEY).run(
                encode_job(Job(argv=("/bin/true",)), LIMITS, (), live=True),
                LIMITS,
                lambda _, content: heard.append(content),
            )
    assert sum(map(len, heard)) <= LIMITS.output_bytes


async def test_silence_in_the_middle_ends_the_run(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools_api.sandbox.remote.client._SILENCE_S", 0.2)
    answer = _answering(frame(Kind.ALIVE)).replace(b"connection: close\r\n", b"content-length: 9999\r\n")
    async with peer(answer) as url, create_http_session() as session, asyncio.timeout(60):
        with pytest.raises(RunnerBrokeOff):
            await RunnerClient(session, url, KEY).run(
                encode_job(Job(argv=("/bin/true",)), LIMITS, (), live=False), LIMITS, None
            )


@pytest.mark.sandbox
@pytest.mark.asyncio(loop_scope="session")
async def test_a_job_that_can_not_be_sent_spoils_nobody_elses(remote: Sandbox) -> None:
    names = (f"{number:04}-{'n' * 200}.txt" for number in range(10_000))
    unsendable = Job(argv=("/bin/true",), files=tuple(SandboxFile(name, b"") for name in names))
    with pytest.raises(SandboxUnavailable, match="fewer or smaller files"):
        await remote.run(unsendable)
    assert remote.report.available
    assert (await remote.run(Job(argv=("/bin/true",)))).exit_code == 0


@pytest.mark.parametrize("status", ["400 Bad Request", "413 Content Too Large"])
async def test_a_refusal_of_one_job_is_told_from_one_of_us(peer: Peer, status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}".encode()
    async with peer(answer) as url, create_http_session() as session:
        with pytest.raises(JobRefused):
            await RunnerClient(session, url, KEY).run(
                encode_job(Job(argv=("/bin/true",)), LIMITS, (), live=False), LIMITS, None
            )
