"""How a job goes to a runner and its outcome comes back: JSON with sizes, then bytes. Both sides take it as hostile.

A job:      four bytes of length, a JSON object (`_JobHead`), the payload, the files' contents one after the other.
An answer:  frames, each of one byte that says its kind, four bytes of length and a body; see `Kind`. The last one is a
            `RESULT` (four bytes of length, a JSON object, stdout, stderr, report, files) or an `ERROR` (a JSON object).
Numbers are big-endian. Nothing is ever unpickled, and no field reaches more than its own value.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tools_api.sandbox.collector import plain_paths
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, Outcome, SandboxFile
from tools_api.sandbox.protocol import MAX_REPORT_BYTES

PROTOCOL = 1
MEDIA_TYPE = "application/vnd.twinport.run"
MAX_HEAD_BYTES = 1 << 18
MAX_PAYLOAD_BYTES = 1 << 20
FRAME_HEAD_BYTES = 5
_SIZE_BYTES = 4
_MAX_NUMBER = 1 << 50
_MAX_TEXTS, _MAX_TEXT_CHARS = 64, 1000
_BLOBS = ("stdout", "stderr", "report")


_MOST_ENV_BYTES = 16_384
"""It goes to bubblewrap through a pipe, which holds 64 KiB."""


class BadMessage(Exception):
    """The bytes are not what the other side is to send; the message says in a few words what is wrong."""


class Kind(enum.IntEnum):
    """What a frame holds."""

    ALIVE = ord(".")
    """Nothing: the runner still works on it."""
    STDOUT = ord("o")
    STDERR = ord("e")
    RESULT = ord("r")
    ERROR = ord("x")


_Text = Annotated[str, Field(max_length=65_536, pattern=r"^[^\x00]*$")]
_Size = Annotated[int, Field(ge=0, le=_MAX_NUMBER)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _FileHead(_Strict):
    name: Annotated[str, Field(max_length=4096)]
    size: _Size


class TreeName(_Strict):
    """A tree that a job needs, by its place inside; `version` is None for packages: those are the runner's own."""

    target: _Text
    version: _Text | None


class _JobHead(_Strict):
    protocol: int
    script: _Text | None
    argv: Annotated[list[_Text], Field(max_length=256)]
    payload: Annotated[int, Field(ge=0, le=MAX_PAYLOAD_BYTES)]
    files: Annotated[list[_FileHead], Field(max_length=1000)]
    env: Annotated[dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], _Text], Field(max_length=64)]
    limits: dict[str, float]
    trees: Annotated[list[TreeName], Field(max_length=16)]
    live: bool


class _OutcomeHead(BaseModel):
    """What comes besides the fields of `Outcome` that are no bytes."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    blobs: dict[str, _Size]
    files: Annotated[list[_FileHead], Field(max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """A job as a runner gets it: without trees, which are its own; `live` asks for output as it comes."""

    job: Job
    trees: tuple[TreeName, ...]
    live: bool


def max_job_bytes(limits: Limits) -> int:
    """Bound what a runner reads of a job."""
    return _SIZE_BYTES + MAX_HEAD_BYTES + MAX_PAYLOAD_BYTES + limits.input_bytes


def max_result_bytes(limits: Limits) -> int:
    """Bound what is read of a result."""
    return _SIZE_BYTES + MAX_HEAD_BYTES + 2 * limits.output_bytes + MAX_REPORT_BYTES + limits.max_file_bytes


def encode_job(job: Job, limits: Limits, trees: tuple[TreeName, ...], *, live: bool) -> list[bytes]:
    """Render a job as pieces to send one after the other. Raises `BadMessage` for one that no runner takes."""
    head = {
        "protocol": PROTOCOL,
        "script": job.script,
        "argv": list(job.argv),
        "payload": len(job.payload),
        "files": [{"name": file.name, "size": len(file.content)} for file in job.files],
        "env": dict(job.env),
        "limits": {name: float(value) for name, value in asdict(limits).items()},
        "trees": [tree.model_dump() for tree in trees],
        "live": live,
    }
    text = orjson.dumps(head)
    if len(text) > MAX_HEAD_BYTES or len(job.payload) > MAX_PAYLOAD_BYTES:
        raise BadMessage("the job is too large to be sent")
    return [_sized(text), job.payload, *(file.content for file in job.files)]


def decode_job(raw: bytes) -> RemoteJob:
    """Undo `encode_job`. Raises `BadMessage`."""
    head_bytes, rest = _head_and_rest(memoryview(raw))
    try:
        head = _JobHead.model_validate_json(head_bytes)
    except ValidationError as error:
        raise BadMessage(_first_problem(error)) from None
    if head.protocol != PROTOCOL:
        raise BadMessage(f"protocol {head.protocol} is not {PROTOCOL}")
    if (head.script is None) == (not head.argv):
        raise BadMessage("a job has either a script or an argv")
    if sum(len(name) + len(value.encode()) for name, value in head.env.items()) > _MOST_ENV_BYTES:
        raise BadMessage("an environment that is too large")
    payload, *contents = _split(rest, [head.payload, *(file.size for file in head.files)])
    names = [file.name for file in head.files]
    return RemoteJob(
        job=Job(
            script=head.script,
            argv=tuple(head.argv),
            payload=payload,
            files=_files(names, contents),
            env=head.env,
            limits=_limits(head.limits),
        ),
        trees=tuple(head.trees),
        live=head.live,
    )


def encode_result(outcome: Outcome) -> bytes:
    """Render an outcome as the body of a `RESULT`."""
    blobs = {name: bytes(getattr(outcome, name)) for name in _BLOBS}
    head = {
        "blobs": {name: len(content) for name, content in blobs.items()},
        "files": [{"name": file.name, "size": len(file.content)} for file in outcome.files],
        **{
            field.name: getattr(outcome, field.name)
            for field in fields(Outcome)
            if field.name not in (*_BLOBS, "files")
        },
    }
    return b"".join([_sized(orjson.dumps(head)), *blobs.values(), *(file.content for file in outcome.files)])


def decode_result(raw: bytes, limits: Limits) -> Outcome:
    """Undo `encode_result`; what it holds keeps `limits`, whoever sent it. Raises `BadMessage`."""
    head_bytes, rest = _head_and_rest(memoryview(raw))
    try:
        head = _OutcomeHead.model_validate_json(head_bytes)
        blobs = [head.blobs.get(name, 0) for name in _BLOBS]
        contents = _split(rest, [*blobs, *(file.size for file in head.files)])
        outcome = _OUTCOME.validate_python(
            {
                **_bounded(head.model_extra or {}),
                **dict(zip(_BLOBS, contents, strict=False)),
                "files": _files([file.name for file in head.files], contents[len(_BLOBS) :]),
            }
        )
    except ValidationError as error:
        raise BadMessage(_first_problem(error)) from None
    _must_keep(outcome, limits)
    return outcome


def frame(kind: Kind, body: bytes = b"") -> bytes:
    """Render one frame."""
    return bytes([kind]) + len(body).to_bytes(_SIZE_BYTES, "big") + body


def frame_head(raw: bytes) -> tuple[Kind, int]:
    """Read a frame's first `FRAME_HEAD_BYTES`: its kind and the length of its body. Raises `BadMessage`."""
    try:
        return Kind(raw[0]), int.from_bytes(raw[1:FRAME_HEAD_BYTES], "big")
    except ValueError:
        raise BadMessage("a frame of no known kind") from None


_OUTCOME = TypeAdapter(Outcome)
_LIMITS = TypeAdapter(Limits)


def _sized(text: bytes) -> bytes:
    return len(text).to_bytes(_SIZE_BYTES, "big") + text


def _head_and_rest(raw: memoryview) -> tuple[bytes, memoryview]:
    size = int.from_bytes(raw[:_SIZE_BYTES], "big")
    if len(raw) < _SIZE_BYTES + size or size > MAX_HEAD_BYTES:
        raise BadMessage("a head that is cut off or too long")
    return bytes(raw[_SIZE_BYTES : _SIZE_BYTES + size]), raw[_SIZE_BYTES + size :]


def _split(content: memoryview, sizes: list[int]) -> list[bytes]:
    if sum(sizes) != len(content):
        raise BadMessage("sizes that do not fit the content")
    pieces: list[bytes] = []
    position = 0
    for size in sizes:
        pieces.append(bytes(content[position : position + size]))
        position += size
    return pieces


def _files(names: list[str], contents: list[bytes]) -> tuple[SandboxFile, ...]:
    if plain_paths(names) != names:
        raise BadMessage("names of files that are not plain")
    return tuple(SandboxFile(name, content) for name, content in zip(names, contents, strict=True))


def _limits(values: Mapping[str, float]) -> Limits:
    names = {field.name for field in fields(Limits)}
    if set(values) != names or any(not 0 <= value <= _MAX_NUMBER for value in values.values()):
        raise BadMessage("limits that are not those of this version")
    try:
        return _LIMITS.validate_python(values)
    except ValidationError as error:
        raise BadMessage(_first_problem(error)) from None


def _bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse numbers and texts that no run has; their types are checked by the one who takes them."""
    for value in values.values():
        items = cast("list[object]", value) if isinstance(value, list) else [value]
        for item in items[:_MAX_TEXTS]:
            if isinstance(item, int | float) and not (math.isfinite(item) and -255 <= item <= _MAX_NUMBER):
                raise BadMessage("a number out of range")
            if isinstance(item, str) and len(item) > _MAX_TEXT_CHARS:
                raise BadMessage("a text that is too long")
        if len(items) > _MAX_TEXTS:
            raise BadMessage("too many values")
    return dict(values)


def _must_keep(outcome: Outcome, limits: Limits) -> None:
    sizes = [len(file.content) for file in outcome.files]
    if len(sizes) > limits.max_files or sum(sizes) > limits.max_file_bytes:
        raise BadMessage("more files than the limits allow")
    if max(len(outcome.stdout), len(outcome.stderr)) > limits.output_bytes or len(outcome.report) > MAX_REPORT_BYTES:
        raise BadMessage("more output than the limits allow")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in problem["loc"])[:80]
    return f"{place}: {problem['msg']}"[:200]
