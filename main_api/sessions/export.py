"""A session as a file to take away: JSON for programs, Markdown for people."""

import orjson

from main_api.sessions.records import StoredMessage, Transcript
from main_api.sessions.schemas import SessionHistory

_SPEAKERS = {"user": "User", "assistant": "Assistant", "system": "System", "developer": "System", "tool": "Tool"}
_REMARKS = {
    "partial": "The answer broke off here.",
    "error": "The answer failed.",
    "interrupted": "This message was never answered.",
    "pending": "The answer is being written.",
}


def as_json(transcript: Transcript) -> bytes:
    """Render the session as `GET /api/chat/history/{id}` shows it."""
    return SessionHistory.of(transcript).model_dump_json(warnings=False).encode()


def as_markdown(transcript: Transcript) -> bytes:
    """Render title, times and messages; the text of a message stands as it was written."""
    info = transcript.info
    head = f"# {info.title or 'Untitled session'}\n\n{info.id}, begun {info.created_at:%Y-%m-%d %H:%M} UTC\n"
    return "\n".join([head, *(_message(message) for message in transcript.messages)]).encode("utf-8", "replace")


def _message(message: StoredMessage) -> str:
    speaker = _SPEAKERS.get(message.role, message.role)
    by = f", {message.model}" if message.model else ""
    lines = [f"## {speaker} ({message.time:%Y-%m-%d %H:%M:%S} UTC{by})", ""]
    if message.text:
        lines += [message.text, ""]
    if calls := message.message.get("tool_calls"):
        lines += ["Calls at the client:", "", "```json", orjson.dumps(calls).decode(), "```", ""]
    for step in message.steps:
        lines += [f"- {', '.join(f'{key}: {value}' for key, value in step.items())}"]
    if message.steps:
        lines.append("")
    if message.status in _REMARKS:
        lines += [f"*{_REMARKS[message.status]}*", ""]
    return "\n".join(lines)
