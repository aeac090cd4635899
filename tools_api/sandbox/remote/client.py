"""Talks to a runner over HTTP. What it answers is hostile: read up to a cap, checked, never believed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import aiohttp
import orjson
from pydantic import BaseModel, Field, ValidationError

from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import MemoryLimit, Outcome, OutputListener
from tools_api.sandbox.remote.wire import (
    FRAME_HEAD_BYTES,
    MEDIA_TYPE,
    BadMessage,
    Kind,
    TreeName,
    decode_result,
    frame_head,
    max_result_bytes,
)

ANSWERS_WITHIN_S = 1.0
"""How long a runner may take to connect, and to say anything that costs it nothing."""
_SILENCE_S = 5.0
"""A runner that works on a job says so every second."""
_UPLOAD_BYTES_PER_S = 5_000_000
_MAX_SMALL_ANSWER = 1 << 16
_MAX_LIVE_FRAME = 1 << 16
_OVER_S = 10.0
"""What a runner gets beyond the wall time of a run for its slot, start and end."""


class RunnerUnusable(Exception):
    """Nothing was run: the runner can't be reached, or refused; the message says why and what to do."""


class JobRefused(Exception):
    """Nothing was run: the runner takes this job for malformed or too large; it may take others."""


class RunnerBusy(Exception):
    """Nothing was run: all of the runner's places are taken."""


class RunnerBrokeOff(Exception):
    """The job may have run, and its outcome is lost; the message says how."""


class RunnerReport(BaseModel):
    """How a runner stands, in its own words."""

    protocol: int
    available: bool
    level: Annotated[str, Field(max_length=40)] | None
    reason: Annotated[str, Field(max_length=1000)] | None
    memory: MemoryLimit | None
    python: Annotated[str, Field(max_length=20, pattern=r"^\d+(\.\d+)*$")] | None
    checks: Annotated[dict[str, bool], Field(max_length=100)]
    trees: Annotated[list[TreeName], Field(max_length=16)]


class RunnerClient:
    """One runner at `url`, with the key that it knows us by. The session belongs to whoever made it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._key = key

    async def report(self) -> RunnerReport:
        """Ask how it stands. Raises `RunnerUnusable`."""
        async with self._small_request(self._key) as (status, body):
            if status != 200:
                raise _refused(status, body)
        try:
            return RunnerReport.model_validate_json(body)
        except ValidationError:
            raise RunnerUnusable("what answers at SANDBOX_REMOTE_URL is no runner, or one of another version") from None

    async def refuses(self, key: str) -> bool:
        """Say whether it turns away who comes with `key`. Raises `RunnerUnusable`."""
        async with self._small_request(key) as (status, _):
            return status == 401

    async def run(self, job: Sequence[bytes], limits: Limits, on_output: OutputListener | None) -> Outcome:
        """Send an encoded job and follow it to its end. Leaving it stops the run.

        Raises `JobRefused`, `RunnerUnusable`, `RunnerBusy`, `RunnerBrokeOff`.
        """
        async with self._posted(job, limits) as answer:
            try:
                async with asyncio.timeout(limits.wall_s + _OVER_S):
                    return await _follow(answer.content, limits, on_output)
            except BadMessage as error:
                raise RunnerBrokeOff(f"it answered with {error}") from None
            except asyncio.IncompleteReadError:
                raise RunnerBrokeOff("its answer is cut off") from None
            except TimeoutError:
                raise RunnerBrokeOff("it fell silent") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise RunnerBrokeOff(f"the connection broke ({type(error).__name__})") from None

    @asynccontextmanager
    async def _small_request(self, key: str) -> AsyncGenerator[tuple[int, bytes]]:
        try:
            async with (
                asyncio.timeout(ANSWERS_WITHIN_S),
                self._session.get(f"{self._url}/v1/runner", headers=_headers(key), allow_redirects=False) as answer,
            ):
                result = answer.status, await _at_most(answer.content, _MAX_SMALL_ANSWER)
        except TimeoutError:
            raise RunnerUnusable(f"the runner does not answer within {ANSWERS_WITHIN_S:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError, BadMessage) as error:
            raise RunnerUnusable(f"the runner can't be reached ({_named(error)})") from None
        yield result

    @asynccontextmanager
    async def _posted(self, job: Sequence[bytes], limits: Limits) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send the job and wait until the runner has taken it on."""
        size = sum(map(len, job))
        headers = {**_headers(self._key), "Content-Type": MEDIA_TYPE, "Content-Length": str(size)}
        silence = aiohttp.ClientTimeout(total=None, sock_connect=ANSWERS_WITHIN_S, sock_read=_SILENCE_S)
        request = self._session.post(
            f"{self._url}/v1/runs", data=_pieces(job), headers=headers, timeout=silence, allow_redirects=False
        )
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S + size / _UPLOAD_BYTES_PER_S):
                answer = await request
        except TimeoutError:
            raise RunnerUnusable("the runner does not take the job") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise RunnerUnusable(f"the runner can't be reached ({_named(error)})") from None
        try:
            if answer.status != 200 or answer.content_type != MEDIA_TYPE:
                raise _refused(answer.status, await _body_of(answer))
            yield answer
        finally:
            answer.close()  # and not `release`: an unfinished answer is a run that has to stop


async def _follow(content: aiohttp.StreamReader, limits: Limits, on_output: OutputListener | None) -> Outcome:
    heard = {Kind.STDOUT: 0, Kind.STDERR: 0}
    while True:
        kind, size = frame_head(await content.readexactly(FRAME_HEAD_BYTES))
        if size > (max_result_bytes(limits) if kind is Kind.RESULT else _MAX_LIVE_FRAME):
            raise BadMessage("too much at once")
        body = await content.readexactly(size)
        match kind:
            case Kind.ALIVE:
                continue
            case Kind.STDOUT | Kind.STDERR:
                heard[kind] += size
                if heard[kind] > limits.output_bytes or on_output is None:
                    raise BadMessage("more output than was asked for")
                on_output("stdout" if kind is Kind.STDOUT else "stderr", body)
            case Kind.RESULT:
                return decode_result(body, limits)
            case Kind.ERROR:
                raise _failed(body)


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def _pieces(job: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in job:
        yield piece


async def _at_most(content: aiohttp.StreamReader, limit: int) -> bytes:
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > limit:
            raise BadMessage("too much")
    return bytes(body)


async def _body_of(answer: aiohttp.ClientResponse) -> bytes:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            return await _at_most(answer.content, _MAX_SMALL_ANSWER)
    except (TimeoutError, aiohttp.ClientError, OSError, BadMessage):
        return b""


def _refused(status: int, body: bytes) -> Exception:
    code, message = _error_in(body)
    if code == "sandbox_busy":
        return RunnerBusy()
    if status == 401:
        return RunnerUnusable("the runner does not know our key: SANDBOX_REMOTE_KEY has to be the same on both sides")
    said = f": {message}" if message else ""
    if status in {400, 413}:
        return JobRefused(f"the runner does not take this job{said}")
    return RunnerUnusable(f"the runner refuses with status {status}{said}")


def _failed(body: bytes) -> Exception:
    """Read an `ERROR`: what the runner could not do after it had taken the job on."""
    code, message = _error_in(body)
    if code == "sandbox_busy":
        return RunnerBusy()
    if code == "sandbox_unavailable":
        return RunnerUnusable(f"the runner's own sandbox failed: {message}")
    return RunnerBrokeOff(f"it failed: {message}")


def _error_in(body: bytes) -> tuple[str, str]:
    """Return code and message of an error in the shape of all our errors; empty if it has another one."""
    try:
        error = orjson.loads(body)["error"]
        return str(error["code"])[:100], str(error["message"])[:300]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "", ""


def _named(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return str(reason)[:100]
