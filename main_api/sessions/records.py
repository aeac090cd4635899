"""The lines of a session's file and the values that they become. Bytes and values only: no files, no SQL, no HTTP.

A file is a header, then one JSON object per line:

    {"type":"session","version":1,"id":"ses_…","user_id":7,"created_at":"…Z"}
    {"type":"message","id":"msg_…","time":"…Z","turn":"…","message":{"role":"user","content":"Hello"}}
    {"type":"message","id":"msg_…","time":"…Z","turn":"…","message":{"role":"assistant",…},"status":"complete","model":"…",…}
    {"type":"title","time":"…Z","title":"Greetings"}

Lines of a type that this version does not know are passed over, so a newer version may add some.
"""

import json
import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast

import orjson

from shared.errors import NotFound
from shared.tools_contract import JsonObject

AnswerStatus = Literal["complete", "partial", "error"]
"""How an answer ended: whole; broken off (the caller left, the budget ended); failed."""

MessageStatus = Literal["complete", "partial", "error", "pending", "interrupted"]
"""`pending`: its answer is being made now; `interrupted`: it never got one."""

_SESSION_ID = re.compile(r"ses_[0-9a-f]{32}")


class SessionNotFound(NotFound):
    """No such session, or another person's: the two look the same."""

    code = "session_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such session. List yours with GET /api/chat/sessions.", param="session_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """One message of a session. `message` is OpenAI's wire object; `turn` joins a question with its answer.

    `steps` sums up what an agent did on the way to an answer; `error` says why an answer failed.
    """

    id: str
    time: datetime
    turn: str
    message: JsonObject
    status: MessageStatus = "complete"
    model: str | None = None
    finish_reason: str | None = None
    usage: JsonObject | None = None
    steps: tuple[JsonObject, ...] = ()
    error: JsonObject | None = None

    @property
    def role(self) -> str:
        return str(self.message.get("role", ""))

    @property
    def text(self) -> str:
        """The readable text, the parts of multi-part content joined by newlines."""
        return content_text(self.message.get("content"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session without its messages. `updated_at` is the time of the newest message."""

    id: str
    user_id: int
    created_at: datetime
    updated_at: datetime
    title: str | None = None
    message_count: int = 0


@dataclass(frozen=True, slots=True)
class Transcript:
    """A session with its messages, oldest first. `unreadable` counts lines that had to be passed over."""

    info: SessionInfo
    messages: tuple[StoredMessage, ...]
    unreadable: int = 0


def new_session_id() -> str:
    """Make a session id: 128 random bits, in lower case so that every file system tells two apart."""
    return f"ses_{secrets.token_hex(16)}"


def new_message_id() -> str:
    return f"msg_{secrets.token_hex(12)}"


def checked_session_id(session_id: str) -> str:
    """Return `session_id` if it can be one; only then may it become part of a path. Raises `SessionNotFound`."""
    if not _SESSION_ID.fullmatch(session_id):
        raise SessionNotFound
    return session_id


def clean_title(title: str) -> str:
    """Make one line of at most 200 characters of `title`."""
    printable = "".join(" " if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} else char for char in title)
    return " ".join(printable.split())[:200].rstrip()


def content_text(content: object) -> str:
    """Return the text of a message's content, which is a string, a list of parts or null."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (cast("JsonObject", part) for part in cast("list[object]", content) if isinstance(part, dict))
    texts = (part.get("text", part.get("refusal")) for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))


def header_line(session_id: str, user_id: int, created_at: datetime) -> bytes:
    """Render the first line of a session's file."""
    return _line(
        {
            "type": "session",
            "version": 1,
            "id": session_id,
            "user_id": user_id,
            "created_at": timestamp(created_at),
        }
    )


def message_line(message: StoredMessage) -> bytes:
    """Render a message; what is not set is left out."""
    record: JsonObject = {
        "type": "message",
        "id": message.id,
        "time": timestamp(message.time),
        "turn": message.turn,
        "message": message.message,
    }
    if message.role == "assistant":
        record["status"] = message.status
    optional = {"model": message.model, "finish_reason": message.finish_reason, "usage": message.usage}
    optional |= {"steps": message.steps or None, "error": message.error}
    record.update({key: value for key, value in optional.items() if value is not None})
    return _line(record)


def title_line(title: str, at: datetime) -> bytes:
    """Render a rename."""
    return _line({"type": "title", "time": timestamp(at), "title": title})


def timestamp(moment: datetime) -> str:
    """Render a time as RFC 3339 in UTC with microseconds, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_transcript(lines: Iterable[bytes]) -> Transcript | None:
    """Read a session from its complete lines; None without a good header. A bad line costs itself alone."""
    reader = _Reader()
    for line in lines:
        reader.take(line)
    return reader.result()


def with_live_status(messages: Sequence[StoredMessage], live_turn: str | None) -> tuple[StoredMessage, ...]:
    """Mark what the caller sent and got no answer to: `pending` in the turn that runs now, else `interrupted`."""
    answered = {message.turn for message in messages if message.role == "assistant"}

    def marked(message: StoredMessage) -> StoredMessage:
        if message.turn in answered:
            return message
        return replace(message, status="pending" if message.turn == live_turn else "interrupted")

    return tuple(marked(message) for message in messages)


class _Reader:
    """Collects records into a `Transcript`."""

    def __init__(self) -> None:
        self._header: tuple[str, int, datetime] | None = None
        self._title: str | None = None
        self._messages: list[StoredMessage] = []
        self._unreadable = 0

    def take(self, line: bytes) -> None:
        try:
            self._take_record(orjson.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):  # of damaged bytes, and of JSON of another shape
            self._unreadable += 1

    def _take_record(self, record: JsonObject) -> None:
        kind = record["type"]
        if kind == "message":
            self._messages.append(_message(record))
        elif kind == "title":
            self._title = str(record["title"])
        elif kind == "session" and self._header is None:
            self._header = (str(record["id"]), int(record["user_id"]), datetime.fromisoformat(record["created_at"]))

    def result(self) -> Transcript | None:
        if self._header is None:
            return None
        session_id, user_id, created_at = self._header
        info = SessionInfo(
            id=session_id,
            user_id=user_id,
            created_at=created_at,
            updated_at=self._messages[-1].time if self._messages else created_at,
            title=self._title,
            message_count=len(self._messages),
        )
        return Transcript(info, tuple(self._messages), self._unreadable)


def _message(record: JsonObject) -> StoredMessage:
    message: object = record["message"]
    if not isinstance(message, dict):
        raise TypeError("a message is a JSON object")
    return StoredMessage(
        id=str(record["id"]),
        time=datetime.fromisoformat(record["time"]),
        turn=str(record["turn"]),
        message=cast("JsonObject", message),
        status=record.get("status", "complete"),
        model=record.get("model"),
        finish_reason=record.get("finish_reason"),
        usage=record.get("usage"),
        steps=tuple(record.get("steps", ())),
        error=record.get("error"),
    )


def _line(record: JsonObject) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # lone surrogates, integers beyond 64 bits: JSON as Python reads it, but not UTF-8
        return _lenient(record)


def _lenient(record: Any) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace") + b"\n"
