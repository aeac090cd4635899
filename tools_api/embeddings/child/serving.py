"""The threads of the encoder's child: one reads, one prepares, and the others compute.

The one that reads is also the lifeline: the socket ends with the tools API, however that ends, and this process too.
On processors every batch is computed by one thread, several batches at once: threads that share a batch wait for each
other after each of its hundreds of steps, which costs most of the time where other processes want the processors too.
How many tokens make a batch is measured: as many as take `_BATCH_S`, since a question waits for a batch in progress.
"""

import os
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tools_api.embeddings.child.queue import Part, Prepared, Queue
from tools_api.embeddings.frames import (
    HEAD,
    BrokenFrame,
    Kind,
    Rows,
    Task,
    pack,
    pack_rows,
    unpack_head,
    unpack_texts,
)

_BATCH_S = 0.075
_FEWEST_TOKENS = 256
_MOST_TOKENS = 64 * 1024
_LEARNING_RATE = 0.2


class Models(Protocol):
    """What computes: `prepare` in one thread, `run` in several others."""

    def prepare(self, part: Part) -> list[Prepared]: ...

    def run(self, task: Task, batch: Sequence[Prepared]) -> Any:
        """Return a float32 array, one row for each text."""
        ...


class Line:
    """The socket to the tools API. Sending is safe from several threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb", buffering=256 * 1024)
        self._sending = threading.Lock()

    def send(self, frame: bytes) -> None:
        try:
            with self._sending:
                self._connection.sendall(frame)
        except OSError:
            os._exit(0)  # the tools API is gone

    def receive(self) -> tuple[Kind, int, int, bytes]:
        """Return the next frame. Ends this process with the tools API."""
        try:
            kind, call, first, size = unpack_head(self._exactly(HEAD.size))
            return kind, call, first, self._exactly(size)
        except (OSError, BrokenFrame, struct.error):
            os._exit(0)

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            os._exit(0)
        return data


class Budget:
    """How many tokens a batch may have, learnt for each task from the time that batches took."""

    def __init__(self, *, on_processor: bool) -> None:
        self._seconds_a_token: dict[Task, float] = {}
        self.clock: Callable[[], float] = time.thread_time if on_processor else time.perf_counter
        """On a processor the time that the thread had of it: that others want it too makes no batch shorter."""

    def tokens(self, task: Task) -> int:
        known = self._seconds_a_token.get(task)
        return _FEWEST_TOKENS if known is None else max(_FEWEST_TOKENS, min(_MOST_TOKENS, int(_BATCH_S / known)))

    def learn(self, task: Task, tokens: int, seconds: float) -> None:
        if tokens < _FEWEST_TOKENS // 2:
            return  # a few short texts say nothing of what a full batch takes
        known = self._seconds_a_token.get(task, seconds / tokens)
        self._seconds_a_token[task] = known + _LEARNING_RATE * (seconds / tokens - known)


def begin_reading(line: Line) -> Queue:
    """Let a thread read from now on, and return where it puts what it reads."""
    queue = Queue()
    threading.Thread(target=_or_end, args=(_read, line, queue), daemon=True).start()
    return queue


def serve(line: Line, queue: Queue, models: Models, *, threads: int, on_processor: bool) -> None:
    """Answer until the tools API ends, computing with so many threads."""
    budget = Budget(on_processor=on_processor)
    threading.Thread(target=_or_end, args=(_prepare, line, queue, models), daemon=True).start()
    for _ in range(threads - 1):
        threading.Thread(target=_or_end, args=(_compute, line, queue, models, budget), daemon=True).start()
    _or_end(_compute, line, queue, models, budget)


def _or_end(work: Callable[..., None], *arguments: Any) -> None:
    """A thread that ended would leave its callers waiting: the whole process ends instead, and is started again."""
    try:
        work(*arguments)
    except BaseException:  # noqa: BLE001 - whatever it was
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _read(line: Line, queue: Queue) -> None:
    while True:
        kind, call, first, body = line.receive()
        if kind is Kind.TEXTS:
            queue.add(Part(call, first, unpack_texts(body)))
        elif kind is Kind.CANCEL:
            queue.drop(call)


def _prepare(line: Line, queue: Queue, models: Models) -> None:
    while True:
        part = queue.next_part()
        try:
            prepared = models.prepare(part)
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            queue.prepared(part, [])
            line.send(_refusal(part, error))
            continue
        part.missing = len(prepared)
        part.rows = [b""] * len(prepared)
        part.tokens = sum(item.tokens for item in prepared)
        part.cut = sum(item.cut for item in prepared)
        queue.prepared(part, prepared)


def _compute(line: Line, queue: Queue, models: Models, budget: Budget) -> None:
    while True:
        batch = queue.next_batch(budget.tokens)
        task = batch[0].part.texts.task
        started = budget.clock()
        try:
            rows = models.run(task, [item.prepared for item in batch])
        except (ValueError, TypeError, KeyError, RuntimeError, IndexError) as error:
            traceback.print_exc()
            for part in {id(item.part): item.part for item in batch}.values():
                line.send(_refusal(part, error))
            continue
        longest = max(item.prepared.tokens for item in batch)
        budget.learn(task, longest * len(batch), budget.clock() - started)
        for part in queue.filled(batch, [row.tobytes() for row in rows]):
            whole = Rows(int(rows.shape[1]), part.tokens, part.cut, b"".join(part.rows))
            line.send(pack(Kind.ROWS, pack_rows(whole), call=part.call, first=part.first))


def _refusal(part: Part, error: Exception) -> bytes:
    reason = f"{type(error).__name__}: {error}"[:500]
    return pack(Kind.REFUSED, reason.encode(), call=part.call, first=part.first)
