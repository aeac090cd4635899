"""A started sandbox that does one call after another in one interpreter, and stands still in between.

A call that meets a limit is interrupted first (SIGINT, in Python a KeyboardInterrupt) and the interpreter lives on;
what does not stop within a moment, exceeds its memory or its number of files, or answers out of step, is killed.

What comes through the pipes is hostile. Each call has a word that nobody can guess before: the answer has to repeat it,
and it marks the end of the call's output. What the code's own threads and children print after that mark, before they
are made to stand still, belongs to the next call; what a pipe and one reading hold (64 KiB each) bounds it.
"""

import asyncio
import functools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tools_api.sandbox.cgroup import Cgroup, Usage
from tools_api.sandbox.execution import Pipe
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, LimitName, Outcome, OutputListener
from tools_api.sandbox.process import SandboxProcess
from tools_api.sandbox.protocol import (
    CALL,
    INTERRUPT,
    MAX_HEADER_BYTES,
    Answer,
    BrokenAnswer,
    decode_body,
    decode_header,
    encode_job,
    end_mark,
)
from tools_api.sandbox.rest import bring_to_rest, is_at_rest, wake
from tools_api.sandbox.verdict import make_outcome
from tools_api.sandbox.watchdog import Watchdog

_PIECE = 1 << 16
_RESTING_S = 1.0
_FATAL = frozenset[LimitName]({"memory", "files"})
"""Limits of the sandbox as a whole, which the interpreter that met them would meet again at once."""


@dataclass(slots=True)
class Passage:
    """What one call prints on one stream: all before the mark. `pipe` keeps of it what it may."""

    pipe: Pipe
    mark: bytes
    overflowed: Callable[[], None]
    _held: bytes = b""
    """The last bytes, while they may turn out to be the beginning of the mark."""

    def add(self, piece: bytes) -> bytes | None:
        """Take what came; at the mark return what follows it."""
        piece = self._held + piece
        before, mark, after = piece.partition(self.mark)
        self._held = b""
        if not mark:
            start = before.rfind(b"\0", 1 - len(self.mark))  # a mark has NUL at its ends only
            if start >= 0 and self.mark.startswith(before[start:]):
                before, self._held = before[:start], before[start:]
        if before and not self.pipe.add(before):
            self.overflowed()
        return after if mark else None

    def close(self) -> bytes:
        """Return what was kept; the mark will not come any more."""
        self.pipe.add(self._held)
        return bytes(self.pipe.content)


@dataclass(slots=True)
class _Turn:
    """One call, while it is under way."""

    job: Job
    limits: Limits
    word: str
    stdout: Passage
    stderr: Passage
    to_stop: asyncio.Event = field(default_factory=asyncio.Event)
    why: LimitName | None = None

    def stop(self, why: LimitName | None) -> None:
        self.why = self.why or why
        self.to_stop.set()


class Conversation:
    """Owns nothing of the sandbox's start and end: who made `process` ends it too. `over` says when that is due."""

    def __init__(
        self, process: SandboxProcess, cgroup: Cgroup | None, limits: Limits, *, interrupt_s: float = 1.0
    ) -> None:
        self.over = False
        self._process = process
        self._cgroup = cgroup
        self._limits = limits
        self._interrupt_s = interrupt_s
        self._used = Usage()
        self._leftover = {"stdout": b"", "stderr": b""}
        self._turn: _Turn | None = None
        self._calls = 0

    async def call(self, job: Job, limits: Limits, on_output: OutputListener | None = None) -> Outcome:
        """Do a call to its end or to its first limit. One at a time.

        `limits` bounds what is counted by call: time, output, files that come back. Cancelling kills the sandbox;
        `interrupt` is the gentle way. Raises nothing for what the code does; see `over` afterwards.
        """
        turn = self._turn = self._begin(job, limits, on_output)
        started = time.monotonic()
        watchdog = Watchdog(self._process.pid, turn.limits, self._cgroup, before=self._used)
        try:
            wake(self._process.pid)
            limit, answer = await self._until_answered(turn, watchdog)
            breach = await watchdog.read()
            await self._settle(answer, breach)
        except BaseException:
            self.kill()
            raise
        finally:
            self._turn = None
        usage = replace(watchdog.usage, cpu_s=max(0.0, watchdog.usage.cpu_s - self._used.cpu_s))
        self._used = watchdog.usage
        return make_outcome(
            answer,
            limit=limit or (breach if breach in _FATAL else None),
            usage=usage,
            processes=watchdog.processes,
            wall_s=time.monotonic() - started,
            stdout=turn.stdout.close(),
            stderr=turn.stderr.close(),
        )

    def interrupt(self) -> None:
        """Ask the code of the call that is under way to stop."""
        if self._turn:
            self._turn.stop(None)

    def kill(self) -> None:
        """End it at once."""
        self.over = True
        self._process.kill()

    def has_ended(self) -> bool:
        """Say whether it ended by itself since the last call."""
        return self._process.result.at_eof()

    def stands_still(self) -> bool:
        """Say whether nothing in it moves, as it should be between calls."""
        return is_at_rest(self._process.pid)

    def _begin(self, job: Job, limits: Limits, on_output: OutputListener | None) -> _Turn:
        word = secrets.token_hex(16)
        own = limits.in_a_session_of(self._limits)

        def passage() -> Passage:
            return Passage(Pipe(own.output_bytes), end_mark(word), lambda: turn.stop("output"))

        turn = _Turn(job, own, word, passage(), passage())
        if on_output:
            turn.stdout.pipe.listens = functools.partial(on_output, "stdout")
            turn.stderr.pipe.listens = functools.partial(on_output, "stderr")
        return turn

    async def _until_answered(self, turn: _Turn, watchdog: Watchdog) -> tuple[LimitName | None, Answer | None]:
        """Race the call against its limits, then the interrupted code against the clock."""
        talk = asyncio.ensure_future(self._talk(turn))
        watch = asyncio.ensure_future(watchdog.wait_for_breach())
        told = asyncio.ensure_future(turn.to_stop.wait())
        try:
            await asyncio.wait({talk, watch, told}, timeout=turn.limits.wall_s, return_when=asyncio.FIRST_COMPLETED)
            if not talk.done():
                turn.stop(watch.result() if watch.done() else None if told.done() else "timeout")
                if turn.why not in _FATAL:
                    await self._interrupted(talk, watch, watchdog)
            return turn.why, talk.result() if talk.done() else None
        except BrokenAnswer:
            return turn.why, None
        finally:
            for task in (talk, watch, told):
                task.cancel()
            await asyncio.gather(talk, watch, told, return_exceptions=True)

    async def _interrupted(
        self, talk: asyncio.Future[Answer], watch: asyncio.Future[LimitName], watchdog: Watchdog
    ) -> None:
        """Give the code a moment to stop, as long as it keeps the limits that are fatal."""
        watchdog.forgive_cpu()
        if watch.done():
            watch = asyncio.ensure_future(watchdog.wait_for_breach())
        try:
            await asyncio.wait({talk, watch}, timeout=self._interrupt_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _talk(self, turn: _Turn) -> Answer:
        """Send the call, take its output up to the marks, and its answer. Raises `BrokenAnswer`."""
        feeding = asyncio.ensure_future(self._feed(turn))
        answering = asyncio.ensure_future(self._answer(turn))
        passing_on = (
            asyncio.ensure_future(self._pass_on("stdout", self._process.stdout, turn.stdout)),
            asyncio.ensure_future(self._pass_on("stderr", self._process.stderr, turn.stderr)),
        )
        hearing = asyncio.gather(answering, *passing_on)
        try:
            await asyncio.wait({feeding, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                feeding.result()
            await hearing
            return answering.result()
        finally:
            # each by itself: a `gather` that has failed goes on with the others, and they would read beside who ends it
            parts = (feeding, answering, *passing_on)
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, hearing, return_exceptions=True)

    async def _feed(self, turn: _Turn) -> None:
        pieces = encode_job(turn.job, turn.limits, word=turn.word)
        stdin = self._process.stdin
        try:
            for piece in [CALL, *pieces] if self._calls else pieces:
                stdin.write(piece)
                await stdin.drain()
            self._calls += 1
            await turn.to_stop.wait()
            stdin.write(INTERRUPT)
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise BrokenAnswer("it takes no calls any more") from None

    async def _pass_on(self, name: str, reader: asyncio.StreamReader, passage: Passage) -> None:
        piece, self._leftover[name] = self._leftover[name], b""
        while (after := passage.add(piece)) is None:
            piece = await reader.read(_PIECE)
            if not piece:
                raise BrokenAnswer(f"its {name} is closed")
        self._leftover[name] = after

    async def _answer(self, turn: _Turn) -> Answer:
        result = self._process.result
        try:
            size = int.from_bytes(await result.readexactly(8), "big")
            if size > MAX_HEADER_BYTES:
                raise BrokenAnswer("number out of range")
            header = decode_header(await result.readexactly(size), turn.limits)
            answer = decode_body(header, await result.readexactly(header.body_bytes))
        except asyncio.IncompleteReadError:
            raise BrokenAnswer("truncated answer") from None
        if answer.word != turn.word:
            raise BrokenAnswer("an answer to another call")
        return answer

    async def _settle(self, answer: Answer | None, breach: LimitName | None) -> None:
        """Make it stand still, or end it."""
        alive = answer is not None and not answer.over and breach not in _FATAL
        if not alive or not await bring_to_rest(self._process.pid, within_s=_RESTING_S):
            self.kill()
