"""What a model is told about a tool's result: its content or error, capped, and the names of the files it made."""

from dataclasses import dataclass

from shared.tools_contract import JsonObject, ToolResult

_SHORTEST_CAP = 400
_MARK_ROOM = 44  # of the line that says how much was left out
_CHARS_OF_CONTEXT = 3 / 4
"""Characters per token of the window that one observation may take: about a quarter of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The result of one call as the model reads it."""

    call_id: str
    name: str
    arguments: JsonObject
    text: str
    ok: bool


def observation_cap(limit: int, context_length: int | None) -> int:
    """Return how many characters an observation may have: `limit`, or less where the model's window is small."""
    if context_length is None:
        return limit
    return max(_SHORTEST_CAP, min(limit, int(context_length * _CHARS_OF_CONTEXT)))


def describe(result: ToolResult, *, cap: int) -> str:
    """Return the text for the model; an error begins with `Error:`, as it is told in the prompts."""
    if result.ok:
        text = result.content.strip() or ("" if result.artifacts else "(no output)")
    else:
        text = f"Error: {result.error.message if result.error else result.content or 'the tool failed'}"
        if result.error and result.content.strip():
            text += f"\n{result.content.strip()}"
    if result.artifacts:
        text = f"{text}\nFiles: {', '.join(artifact.name for artifact in result.artifacts)}".strip()
    return shortened(text, cap)


def shortened(text: str, cap: int) -> str:
    """Cut the middle out of a text that is too long: tracebacks and tables say most at their ends."""
    if len(text) <= cap:
        return text
    half = max(0, cap - _MARK_ROOM) // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[len(text) - half :]}"[:cap]
