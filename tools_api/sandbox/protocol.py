"""The host's half of the pipe protocol that `inside/supervisor.py` speaks. What comes back is hostile bytes."""

from dataclasses import dataclass

from tools_api.sandbox.collector import plain_paths
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, SandboxFile

HELLO = b"H"
CALL = b"C"
"""Comes before each job of a session but the first."""
INTERRUPT = b"I"
"""Comes while a call of a session is under way."""
MAX_HEADER_BYTES = 1 << 20
MAX_REPORT_BYTES = 1 << 20


class BrokenAnswer(Exception):
    """The answer of a sandbox is not what a supervisor sends: it was killed, or someone forged it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a supervisor said, decoded and bounded, not believed.

    In a session `word` repeats the call's, and `over` says that the interpreter has ended.
    """

    exit_code: int
    timed_out: bool
    full: bool
    cpu_s: float
    peak_bytes: int
    report: bytes
    files: tuple[SandboxFile, ...]
    refused: tuple[str, ...]
    word: str | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of an answer, and how many bytes of it follow them."""

    fields: tuple[tuple[str, str], ...]
    report_bytes: int
    files: tuple[tuple[int, str], ...]
    """Size and path of each, in their order."""

    @property
    def body_bytes(self) -> int:
        """Count the report and the files."""
        return self.report_bytes + sum(size for size, _ in self.files)


def encode_job(job: Job, limits: Limits, *, word: str | None = None) -> list[bytes]:
    """Render a job for the supervisor's stdin, as pieces to write one after the other, the job's `stored` files after
    them; `word` makes it the first call of a session."""
    fields = [("session", word)] if word else []
    fields += [
        ("wall_s", str(limits.wall_s)),
        ("max_files", str(limits.max_files)),
        ("max_file_bytes", str(limits.max_file_bytes)),
        ("payload", str(len(job.payload))),
    ]
    fields += [("script", job.script)] if job.script else [("arg", argument) for argument in job.argv]
    fields += [("file", f"{len(file.content)}:{file.name}") for file in job.files]
    fields += [("file", f"{file.size}:{file.name}") for file in job.stored]
    body = b"\0".join(part.encode() for pair in fields for part in pair)
    return [len(body).to_bytes(8, "big") + body, job.payload, *(file.content for file in job.files)]


def end_mark(word: str) -> bytes:
    """Return what ends a call's output on either stream."""
    return b"\0" + word.encode() + b"\0"


def max_answer_bytes(limits: Limits) -> int:
    """Bound what is read from a sandbox's result pipe."""
    return len(HELLO) + 8 + MAX_HEADER_BYTES + MAX_REPORT_BYTES + limits.max_file_bytes


def decode_answer(raw: bytes, limits: Limits) -> Answer:
    """Decode what came through the result pipe. Raises `BrokenAnswer` for anything unexpected."""
    try:
        return _decode(raw, limits)
    except (ValueError, KeyError, OverflowError) as error:
        raise BrokenAnswer(f"malformed answer: {type(error).__name__}") from None


def decode_header(head: bytes, limits: Limits) -> Header:
    """Decode the frame of fields, without its length. Raises `BrokenAnswer` for anything unexpected."""
    try:
        return _decode_header(head, limits)
    except (ValueError, KeyError, OverflowError) as error:
        raise BrokenAnswer(f"malformed answer: {type(error).__name__}") from None


def decode_body(header: Header, body: bytes) -> Answer:
    """Decode an answer whose `body` has as many bytes as its header says. Raises `BrokenAnswer`."""
    try:
        return _decode_body(header, body)
    except (ValueError, KeyError, OverflowError) as error:
        raise BrokenAnswer(f"malformed answer: {type(error).__name__}") from None


def _decode(raw: bytes, limits: Limits) -> Answer:
    start = len(HELLO) + 8
    size = int.from_bytes(raw[len(HELLO) : start], "big")
    if not raw.startswith(HELLO) or len(raw) < start + size or size > MAX_HEADER_BYTES:
        raise BrokenAnswer("truncated answer")
    header = _decode_header(raw[start : start + size], limits)
    if len(raw) < start + size + header.body_bytes:
        raise BrokenAnswer("truncated answer")
    return _decode_body(header, raw[start + size :])


def _decode_header(head: bytes, limits: Limits) -> Header:
    parts = head.decode("utf-8", "replace").split("\0")
    fields = tuple(zip(parts[::2], parts[1::2], strict=True))
    entries = [value.partition(":") for key, value in fields if key == "file"]
    if len(entries) > limits.max_files:
        raise BrokenAnswer("too many files")
    files = tuple((_natural(size, limits.max_file_bytes), path) for size, _, path in entries)
    if sum(size for size, _ in files) > limits.max_file_bytes:
        raise BrokenAnswer("too many bytes")
    return Header(fields, _natural(dict(fields)["report"], MAX_REPORT_BYTES), files)


def _decode_body(header: Header, body: bytes) -> Answer:
    single = dict(header.fields)
    return Answer(
        exit_code=max(-255, min(255, int(single["exit"]))),
        timed_out="timeout" in single,
        full="full" in single,
        cpu_s=_seconds(single["cpu_s"]),
        peak_bytes=_natural(single["peak_bytes"], 1 << 50),
        report=body[: header.report_bytes],
        files=_files(memoryview(body)[header.report_bytes :], header.files),
        refused=tuple(value[:200] for key, value in header.fields if key == "refused")[:50],
        word=single.get("session"),
        over="over" in single,
    )


def _files(content: memoryview, entries: tuple[tuple[int, str], ...]) -> tuple[SandboxFile, ...]:
    names = plain_paths([path for _, path in entries])
    files: list[SandboxFile] = []
    position = 0
    for (size, _), name in zip(entries, names, strict=True):
        files.append(SandboxFile(name, bytes(content[position : position + size])))
        position += size
    return tuple(files)


def _seconds(text: str) -> float:
    value = float(text[:20])
    if not 0 <= value <= 1e6:  # which NaN is not either
        raise BrokenAnswer("number out of range")
    return value


def _natural(text: str, at_most: int) -> int:
    value = int(text[:20])
    if not 0 <= value <= at_most:
        raise BrokenAnswer("number out of range")
    return value
