"""A streamed answer in the terminal: the answer on stdout, what the agent thinks and does dimmed on stderr."""

import json
import re
from typing import Any, cast

from rich.console import Console

from cli.api_client import JsonObject

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SHOWN = 300


def printable(text: str) -> str:
    """Return text without control characters: a model's words must not steer the terminal."""
    return _CONTROL.sub("", text)


class AnswerView:
    """Prints the chunks of one answer; remembers the session and the model that the server named."""

    def __init__(self, out: Console, err: Console) -> None:
        self.session_id: str | None = None
        self.model: str | None = None
        self._out = out
        self._err = err
        self._sources = 0
        self._open = ""  # which kind of text the cursor stands after, "" at the start of a line

    def show(self, chunk: JsonObject) -> None:
        self.session_id = chunk.get("session_id") or self.session_id
        self.model = chunk.get("model") or self.model
        for choice in cast("list[JsonObject]", chunk.get("choices") or []):
            delta: JsonObject = choice.get("delta") or {}
            self._text("thought", delta.get("reasoning_content"))
            self._text("answer", delta.get("content"))
        if kind := chunk.get("type"):
            self._event(kind, chunk)

    def end(self) -> None:
        """Finish the line that is open."""
        if self._open:
            self._console(self._open).print()
        self._open = ""

    def _text(self, kind: str, text: str | None) -> None:
        if not text:
            return
        if self._open not in {"", kind}:
            self.end()
        self._open = kind
        style = "dim italic" if kind == "thought" else None
        self._console(kind).print(printable(text), end="", style=style, markup=False, soft_wrap=True)

    def _console(self, kind: str) -> Console:
        return self._out if kind == "answer" else self._err

    def _event(self, kind: str, chunk: JsonObject) -> None:
        match kind:
            case "tool_call":
                self._line(f"→ {chunk.get('tool_name')} {_compact(chunk.get('arguments') or {})}")
            case "tool_result":
                self._tool_result(chunk)
            case "plan":
                for number, step in enumerate(chunk.get("steps") or [], start=1):
                    self._line(f"{number}. {step}")
            case "step" if chunk.get("title"):
                self._line(f"step {chunk.get('number')}: {chunk['title']}")
            case "source":
                self._sources += 1
                source: JsonObject = chunk.get("source") or {}
                self._line(f"[{self._sources}] {source.get('title')}")
            case "notice":
                self._line(f"note: {chunk.get('message')}")
            case _:
                return

    def _tool_result(self, chunk: JsonObject) -> None:
        result: JsonObject = chunk.get("result") or {}
        mark = "←" if chunk.get("status") == "completed" else "✗"
        self._line(f"{mark} {result.get('message') or ''}")
        for artifact in cast("list[JsonObject]", result.get("artifacts") or []):
            self._line(f"  file: {artifact.get('name')}")

    def _line(self, text: str) -> None:
        self.end()
        text = printable(text)
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + " …"
        self._err.print(shown, style="dim", markup=False, soft_wrap=True)


def _compact(arguments: Any) -> str:
    return json.dumps(arguments, ensure_ascii=False)
