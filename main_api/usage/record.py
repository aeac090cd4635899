"""What one call has used, and its form as a line of the journal. Nothing here touches disk or database."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

_BIGINT = 2**63 - 1
_Count = Annotated[int, Field(ge=0, le=_BIGINT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """One call to a model. `user_id` 0 is the service key. `status` is the HTTP status, 499 when the client left.

    `partial` says that the answer broke off; the tokens so far are counted all the same. `at` is in seconds since the
    epoch.
    """

    user_id: int
    key_id: int | None = None
    model: str
    agent: str = "chat"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    partial: bool = False
    status: int = 200
    latency_ms: int = 0
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """The sum of a user's calls to one model."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class JournalLine:
    """A record as the database takes it: `parse_line` lets nothing through that an insert could choke on."""

    at: AwareDatetime
    user_id: _Count
    key_id: _Count | None
    model: Annotated[str, Field(max_length=200, pattern="^[^\\x00]*$")]
    agent: Annotated[str, Field(max_length=64, pattern="^[^\\x00]*$")]
    prompt_tokens: _Count
    completion_tokens: _Count
    partial: bool
    status: Annotated[int, Field(ge=0, le=999)]
    latency_ms: _Count


def sum_up(lines: Iterable[JournalLine], *, batch: str) -> list[dict[str, Any]]:
    """Add the calls of a batch up into rows of the table.

    `batch` names the lines for ever (a segment and a place in it): the same lines always give rows with the same ids,
    so inserting them again changes nothing.
    """
    rows: dict[tuple[object, ...], dict[str, Any]] = {}
    for line in lines:
        key = (line.user_id, line.key_id, line.model, line.agent, line.partial, line.status)
        row = rows.setdefault(key, {})
        if not row:
            row_id = hashlib.sha256(f"{batch}:{key!r}".encode()).hexdigest()[:32]
            row.update(zip(_KEY, key, strict=True), id=row_id, at=line.at, calls=0, **dict.fromkeys(_SUMMED, 0))
        row["calls"] += 1
        row["at"] = max(row["at"], line.at)
        for name in _SUMMED:
            row[name] = min(row[name] + getattr(line, name), _BIGINT)
    return list(rows.values())


_KEY = ("user_id", "key_id", "model", "agent", "partial", "status")
_SUMMED = ("prompt_tokens", "completion_tokens", "latency_ms")
_LINES: TypeAdapter[JournalLine] = TypeAdapter(JournalLine)


def to_line(record: UsageRecord) -> bytes:
    """Return the record as one line of JSON; never raises for what a client put into a name."""
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # half a surrogate pair, or a number beyond 64 bits
        values = {name: _plain(getattr(record, name)) for name in UsageRecord.__slots__}
        return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def parse_line(line: bytes) -> JournalLine | None:
    """Return a line of the journal, or None for one that is torn or that no database would take."""
    try:
        values: dict[str, Any] = orjson.loads(line)
        values["model"] = _storable(values["model"], 200)
        values["agent"] = _storable(values["agent"], 64)
        for name in ("prompt_tokens", "completion_tokens", "latency_ms"):
            values[name] = max(0, values[name])  # some providers count wrong; never let it become a refund
        return _LINES.validate_python(values)
    except (orjson.JSONDecodeError, ValidationError, KeyError, TypeError):
        return None


def _storable(name: str, length: int) -> str:
    return name.replace("\0", "")[:length]


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, min(value, _BIGINT))
    return value
