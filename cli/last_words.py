"""What a server wrote last, cut down to what helps a person: events with their fields, errors with their reason.

A traceback's message is at its end, and uvicorn logs one as the text of an event; where in the code it happened is in
the log file.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

_TAIL_BYTES = 262_144  # one traceback in one structured line takes tens of KiB
_LONGEST = 500
_TRACEBACK = "Traceback (most recent call last):"
_SAYS_NOTHING = "Application startup failed. Exiting."  # uvicorn's, after the reason
_UNTOLD = frozenset({"event", "level", "component", "service", "request_id", "timestamp", "exception", "error"})
_ACCESS = ("method", "path", "status")


def last_words(log: Path, start: int, *, lines: int = 8) -> str:
    """Return the last lines that were written to `log` after byte `start`, readable and indented."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = max(min(start, size), size - _TAIL_BYTES)
        file.seek(begin)
        written = file.read().decode("utf-8", "replace").splitlines()
    if begin > start:
        del written[:1]  # cut through
    told = [words for line in _without_frames(written) if (words := _readable(line))]
    if any(_SAYS_NOTHING not in words for words in told):
        told = [words for words in told if _SAYS_NOTHING not in words]
    return "\n".join(f"  {words}" for words in told[-lines:])


def _without_frames(written: Iterable[str]) -> Iterator[str]:
    """Leave the indented lines of tracebacks out that Python itself has written, before there was a logger."""
    in_frames = False
    for line in written:
        if line.strip() == _TRACEBACK:
            in_frames = True
        elif not (in_frames and line.startswith(" ")):
            in_frames = False
            yield line.strip()


def _readable(line: str) -> str:
    try:
        entry: Any = json.loads(line)
        event = str(entry["event"])
    except (ValueError, KeyError, TypeError):
        return line[:_LONGEST]
    fields = cast("dict[str, Any]", entry)
    level = str(fields.get("level", "info"))
    prefix = "" if level in {"info", "debug"} else f"{level}: "
    return f"{prefix}{_told(event, fields)}"[:_LONGEST]


def _told(event: str, fields: dict[str, Any]) -> str:
    if _TRACEBACK in event:
        return _end_of(event)
    parts = [event, *_field_texts(event, fields)]
    if error := fields.get("error"):
        parts.append(f"({error})")
    return " ".join(parts) + _exception(fields.get("exception"))


def _field_texts(event: str, fields: dict[str, Any]) -> list[str]:
    if event == "request":
        return [str(fields[name]) for name in _ACCESS if name in fields]
    return [f"{name}={value}" for name, value in fields.items() if name not in _UNTOLD and value is not None]


def _end_of(traceback: str) -> str:
    """Return the type and the message of the exception that a traceback ends with."""
    lines = traceback.rstrip().splitlines()
    last_frame = max((at for at, line in enumerate(lines) if line.lstrip(" |").startswith('File "')), default=0)
    reason = [line for line in lines[last_frame + 1 :] if line and not line.startswith(" ")]
    return _short_type(" ".join(reason) or lines[-1].strip())


def _exception(chain: Any) -> str:
    """Return `: Type: message` of the exception that was raised last; structlog puts it first, then its causes."""
    if isinstance(chain, str):
        return f": {_end_of(chain)}"
    if not isinstance(chain, list) or not chain:
        return ""
    raised: Any = cast("list[Any]", chain)[0]
    if not isinstance(raised, dict):
        return ""
    named = cast("dict[str, Any]", raised)
    return f": {named.get('exc_type')}: {named.get('exc_value')}".removesuffix(": ")


def _short_type(reason: str) -> str:
    """Turn `package.module.Type: message` into `Type: message`."""
    kind, colon, message = reason.partition(":")
    return reason if " " in kind else kind.rpartition(".")[2] + colon + message
