"""The host's half of the pipe protocol that `inside/supervisor.py` speaks. What comes back is hostile bytes."""

from dataclasses import dataclass

from tools_api.sandbox.collector import plain_names
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, SandboxFile

HELLO = b"H"
MAX_HEADER_BYTES = 1 << 20
MAX_REPORT_BYTES = 1 << 20


class BrokenAnswer(Exception):
    """The answer of a sandbox is not what a supervisor sends: it was killed, or someone forged it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a supervisor said, decoded and bounded, not believed."""

    exit_code: int
    timed_out: bool
    full: bool
    cpu_s: float
    peak_bytes: int
    report: bytes
    files: tuple[SandboxFile, ...]
    refused: tuple[str, ...]


def encode_job(job: Job, limits: Limits) -> list[bytes]:
    """Render a job for the supervisor's stdin, as pieces to write one after the other."""
    fields = [
        ("wall_s", str(limits.wall_s)),
        ("max_files", str(limits.max_files)),
        ("max_file_bytes", str(limits.max_file_bytes)),
        ("payload", str(len(job.payload))),
    ]
    fields += [("script", job.script)] if job.script else [("arg", argument) for argument in job.argv]
    fields += [("file", f"{len(file.content)}:{file.name}") for file in job.files]
    body = b"\0".join(part.encode() for pair in fields for part in pair)
    return [len(body).to_bytes(8, "big") + body, job.payload, *(file.content for file in job.files)]


def max_answer_bytes(limits: Limits) -> int:
    """Bound what is read from a sandbox's result pipe."""
    return len(HELLO) + 8 + MAX_HEADER_BYTES + MAX_REPORT_BYTES + limits.max_file_bytes


def decode_answer(raw: bytes, limits: Limits) -> Answer:
    """Decode what came through the result pipe. Raises `BrokenAnswer` for anything unexpected."""
    try:
        return _decode(raw, limits)
    except (ValueError, KeyError, OverflowError) as error:
        raise BrokenAnswer(f"malformed answer: {type(error).__name__}") from None


def _decode(raw: bytes, limits: Limits) -> Answer:
    start = len(HELLO) + 8
    size = int.from_bytes(raw[len(HELLO) : start], "big")
    if not raw.startswith(HELLO) or len(raw) < start + size or size > MAX_HEADER_BYTES:
        raise BrokenAnswer("truncated answer")
    parts = raw[start : start + size].decode("utf-8", "replace").split("\0")
    fields = list(zip(parts[::2], parts[1::2], strict=True))
    single = dict(fields)
    report_size = _natural(single["report"], MAX_REPORT_BYTES)
    files_start = start + size + report_size
    return Answer(
        exit_code=max(-255, min(255, int(single["exit"]))),
        timed_out="timeout" in single,
        full="full" in single,
        cpu_s=_seconds(single["cpu_s"]),
        peak_bytes=_natural(single["peak_bytes"], 1 << 50),
        report=raw[start + size : files_start],
        files=_files(memoryview(raw)[files_start:], [v for k, v in fields if k == "file"], limits),
        refused=tuple(value[:200] for key, value in fields if key == "refused")[:50],
    )


def _files(content: memoryview, entries: list[str], limits: Limits) -> tuple[SandboxFile, ...]:
    if len(entries) > limits.max_files:
        raise BrokenAnswer("too many files")
    heads = [entry.partition(":") for entry in entries]
    names = plain_names([path for _, _, path in heads])
    files: list[SandboxFile] = []
    position = 0
    for (size_text, _, _), name in zip(heads, names, strict=True):
        size = _natural(size_text, limits.max_file_bytes)
        piece = content[position : position + size]
        if len(piece) < size:
            raise BrokenAnswer("truncated file")
        files.append(SandboxFile(name, bytes(piece)))
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
