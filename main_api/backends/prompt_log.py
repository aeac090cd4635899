"""Writes every prompt and answer to a rotating file of JSON lines, readable with `tail -F data/logs/prompts.log`.

A request only leaves its turn in a bounded mailbox; merging, parsing, redacting and writing happen in a thread of
their own, in batches a tenth of a second apart. When that thread falls behind, turns are dropped and counted
(`twinport_prompt_log_dropped_total`) rather than letting a request wait: this is a log for people, not an audit
trail. Redaction is in `redaction.py`.
"""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import Counter

from main_api.backends.protocol import Message
from main_api.backends.redaction import redact_json
from main_api.backends.transcript import answer_of_bytes, answer_of_events
from main_api.events import ModelEvent
from shared.logging import get_logger
from shared.request_id import current_request_id

_log = get_logger("prompt_log")

_DROPPED = Counter("twinport_prompt_log_dropped_total", "Prompts that were not logged because the writer fell behind")
_FAILED = Counter("twinport_prompt_log_failed_total", "Prompts that could not be written, a full disk say")

_BATCH_S = 0.1
_TURNS_AT_ONCE = 64
_PAUSE_S = 0.001
"""The event loop gets the interpreter between batches, not between lines: each handover costs more than a line does."""
_CANNOT_BE_RENDERED = (TypeError, ValueError, KeyError, AttributeError, RecursionError)


@dataclass(slots=True)
class Turn:
    """One model turn being recorded: append to `events` (or `chunks`, when relayed) and hand it to `PromptLog.write`.

    Nothing is copied: whoever made the messages must not change them afterwards.
    """

    model: str
    messages: Sequence[Message]
    options: Mapping[str, Any]
    events: list[ModelEvent] = field(default_factory=list[ModelEvent])
    chunks: list[bytes] = field(default_factory=list[bytes])
    error: str | None = None
    request_id: str = field(default_factory=current_request_id)
    started: float = field(default_factory=time.time)
    ms: float = 0.0

    def weight(self) -> int:
        """Estimate the bytes that this turn keeps in memory; long contents count, the rest is a flat rate."""
        contents = sum(_length(message.get("content")) for message in self.messages)
        return 1000 + contents + 100 * len(self.events) + sum(map(len, self.chunks))


class PromptLog:
    """The log. `max_bytes` is the size at which a file is rotated, `backups` how many old ones are kept (all 0600).

    At most `max_waiting` turns of together `max_waiting_bytes` wait for the writer.
    """

    def __init__(
        self,
        path: Path,
        *,
        enabled: bool = True,
        max_bytes: int = 50_000_000,
        backups: int = 5,
        max_waiting: int = 2000,
        max_waiting_bytes: int = 64_000_000,
    ) -> None:
        self.enabled = enabled
        self._file = _RotatingFile(path, max_bytes=max_bytes, backups=backups)
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._mailbox: deque[tuple[Turn, int]] = deque()
        self._bytes_in = 0  # added to by the callers' thread only
        self._bytes_out = 0  # added to by the writer only, so neither needs a lock
        self._mail = threading.Event()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None

    def write(self, turn: Turn) -> None:
        """Take a finished turn; never waits. Call it from one thread only, the event loop's."""
        if not self.enabled:
            return
        weight = turn.weight()
        full = len(self._mailbox) >= self._max_waiting
        if full or self._bytes_in - self._bytes_out + weight > self._max_waiting_bytes:
            _DROPPED.inc()
            return
        turn.ms = round((time.time() - turn.started) * 1000, 1)
        self._bytes_in += weight
        self._mailbox.append((turn, weight))
        if self._writer is None:
            self._writer = threading.Thread(target=self._run, name="prompt-log", daemon=True)
            self._writer.start()
        if not self._mail.is_set():
            self._mail.set()

    def close(self) -> None:
        """Write what is waiting and stop the thread. Blocks: use `asyncio.to_thread`."""
        if self._writer is None:
            return
        self._closing.set()
        self._mail.set()
        self._writer.join(10)
        self._writer = None
        self._closing.clear()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._mail.wait()
            self._closing.wait(_BATCH_S)
            self._mail.clear()
            self._drain()
        self._drain()
        self._file.close()

    def _drain(self) -> None:
        while self._mailbox:
            turns = [self._mailbox.popleft() for _ in range(min(len(self._mailbox), _TURNS_AT_ONCE))]
            lines = [line for turn, _ in turns if (line := self._rendered(turn))]
            try:
                self._file.append(lines)
            except OSError as error:
                self._failed(error, len(lines))
            self._bytes_out += sum(weight for _, weight in turns)
            time.sleep(_PAUSE_S)

    def _rendered(self, turn: Turn) -> bytes | None:
        try:
            return _line(turn)
        except _CANNOT_BE_RENDERED as error:
            self._failed(error, 1)
            return None

    @staticmethod
    def _failed(error: Exception, turns: int) -> None:
        _FAILED.inc(turns)
        _log.error("prompts not logged", turns=turns, error=type(error).__name__)  # no traceback: it shows prompts


class _RotatingFile:
    """Appends whole lines to a file of its owner only; full ones become `.1`, `.2`, … and the oldest goes.

    Smaller and four times faster than the standard library's handler, which looks at the file before every record.
    """

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._descriptor: int | None = None
        self._size = 0

    def append(self, lines: Iterable[bytes]) -> None:
        """Write whole lines with as few calls as rotation allows."""
        block = bytearray()
        for line in lines:
            if self._size + len(block) + len(line) > self._max_bytes and self._size + len(block):
                self._write(block)
                block.clear()
                self._rotate()
            block += line
        self._write(block)

    def _write(self, block: bytes | bytearray) -> None:
        if self._descriptor is None:
            self._descriptor = self._open()
        written = 0
        while written < len(block):
            count = os.write(self._descriptor, bytes(block[written:]))
            written += count
            self._size += count

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        self._size = os.fstat(descriptor).st_size
        return descriptor

    def _rotate(self) -> None:
        self.close()
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._backups + 1))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)
        if not self._backups:
            self._path.unlink()


def _line(turn: Turn) -> bytes:
    answer = answer_of_bytes(turn.chunks) if turn.chunks else answer_of_events(turn.events)
    record = {
        "time": datetime.fromtimestamp(turn.started, UTC).isoformat(timespec="milliseconds"),
        "request_id": turn.request_id,
        "model": turn.model,
        "messages": list(turn.messages),
        "options": dict(turn.options),
        "answer": answer.text,
        "reasoning": answer.reasoning,
        "tool_calls": answer.tool_calls,
        "finish_reason": answer.finish_reason,
        "usage": answer.usage,
        "error": turn.error,
        "ms": turn.ms,
    }
    try:
        line = orjson.dumps(record, default=str, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:  # a lone surrogate, which is legal in JSON's escapes but not in UTF-8
        line = json.dumps(record, default=str).encode()
    return redact_json(line) + b"\n"


def _length(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    return sum(map(_part_length, content)) if isinstance(content, list) else 0  # pyright: ignore[reportUnknownArgumentType]


def _part_length(part: Any) -> int:
    match part:
        case {"text": str(text)} | {"image_url": {"url": str(text)} | str(text)}:
            return len(text)
        case {"input_audio": {"data": str(text)}} | {"file": {"file_data": str(text)}}:
            return len(text)
        case _:
            return 100
