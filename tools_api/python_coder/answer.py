"""From a sandbox's outcome to words: for programs (`data`), for models (`content`), and why it failed (`error`)."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.tools_contract import ToolError
from tools_api.python_coder.limit_words import limit_words
from tools_api.sandbox import Limits, Outcome

_LIMITS = frozenset({"timeout", "cpu", "memory", "output", "files", "processes"})
"""The words that a report may use: they become error types and labels of metrics, which must stay few."""
_MOST_REASONS = 50
_LONGEST_OUTPUT = 30_000
"""Characters of stdout and of stderr that a model is shown; a program gets all of them."""
_LONGEST_REASON = 200
_READ_ONLY = "writing outside of the workspace"
_NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a run came to. Every text is hostile and bounded; `limit` names the limit that it met, if any."""

    stdout: str
    stderr: str
    value: str | None
    traceback: str | None
    error: str | None
    """The exception in one line."""
    kind: str | None
    """The exception's class."""
    limit: str | None
    limit_text: str | None
    denied: tuple[str, ...]
    exit_code: int | None


def read_answer(outcome: Outcome, limits: Limits, most: Limits) -> Answer:
    """Read the report that `inside/run_code.py` wrote, if it came to that; `most` is what a call could ask for."""
    fields = _fields(outcome.report)
    kind = fields.get("error")
    message = fields.get("message", "")
    denied = _denied(fields, outcome.denied)
    claimed = fields.get("limit")
    limit = outcome.limit or (claimed if claimed in _LIMITS else None)
    return Answer(
        stdout=outcome.stdout.decode("utf-8", "replace"),
        stderr=outcome.stderr.decode("utf-8", "replace"),
        value=fields.get("value"),
        traceback=fields.get("traceback"),
        error=(f"{kind}: {message}" if message else kind) if kind else None,
        kind=kind,
        limit=limit,
        limit_text=limit_words(limit, limits, most, errno=fields.get("errno"), denied=denied) if limit else None,
        denied=denied,
        exit_code=outcome.exit_code,
    )


def error_of(answer: Answer) -> ToolError | None:
    """Say why the run failed in words that a model can act on; None if it did not."""
    if answer.limit and answer.limit_text and not _only_results_cut(answer):
        return ToolError(type=answer.limit, message=answer.limit_text)
    if answer.error:
        return ToolError(type="exception", message=answer.error)
    if answer.exit_code is None:
        return ToolError(type="crashed", message="The run broke off without a result; the code may have killed itself.")
    if answer.exit_code < 0:
        return ToolError(type="crashed", message=f"The interpreter crashed ({_signal_name(-answer.exit_code)}).")
    if answer.exit_code > 0:
        return ToolError(type="exit", message=f"The code ended with exit status {answer.exit_code}.")
    return None


def as_text(answer: Answer, *, packages: Sequence[str], files: Mapping[str, int], notes: Sequence[str]) -> str:
    """Render what a model wants to read, in the order in which things happened."""
    parts = [_without_middle(answer.stdout.rstrip("\n")), answer.value or ""]
    if answer.stderr.strip():
        parts.append(f"[stderr]\n{_without_middle(answer.stderr.rstrip())}")
    parts.append((answer.traceback or "").rstrip())
    if answer.limit_text:
        parts.append(f"[{answer.limit_text}]")
    elif not answer.traceback and (error := error_of(answer)):
        parts.append(f"[{error.message}]")
    parts += [f"[{advice}]" for advice in _advice(answer, packages)]
    left_out = [reason for reason in answer.denied if reason not in {_NETWORK, _READ_ONLY}]
    parts += [f"[not returned: {listed(left_out)}]"] if left_out else []
    parts += [f"[{note}]" for note in notes]
    if files:
        parts.append("[files: " + ", ".join(f"{name} ({_size(size)})" for name, size in files.items()) + "]")
    return "\n".join(part for part in parts if part) or "(the code printed nothing)"


def _without_middle(text: str) -> str:
    """Keep the ends of a long text, so that what stands after it is not what gets cut."""
    if len(text) <= _LONGEST_OUTPUT:
        return text
    half = _LONGEST_OUTPUT // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def as_data(answer: Answer, files: Sequence[str]) -> dict[str, Any]:
    """Render the same for programs. `files` are paths in the workspace, in the order of the artifacts."""
    return {
        "stdout": answer.stdout,
        "stderr": answer.stderr,
        "traceback": answer.traceback,
        "value": answer.value,
        "files": list(files),
        "limit": answer.limit,
    }


def listed(names: Sequence[str], most: int = 10) -> str:
    """Join names, the first ones only if there are many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more


def _fields(report: bytes) -> dict[str, str]:
    parts = report.decode("utf-8", "replace").split("\0")
    return dict(zip(parts[::2], parts[1::2], strict=False))


def _denied(fields: Mapping[str, str], by_the_sandbox: Sequence[str]) -> tuple[str, ...]:
    told = [value[:_LONGEST_REASON] for name, value in fields.items() if name.startswith("denied")]
    read_only = [_READ_ONLY] if fields.get("errno") == "EROFS" else []
    return tuple(dict.fromkeys((*told[:_MOST_REASONS], *read_only, *by_the_sandbox)))


def _only_results_cut(answer: Answer) -> bool:
    """Say whether the code itself came to a good end and only its files are too many or too large."""
    return answer.limit == "files" and answer.exit_code == 0 and answer.error is None


def _advice(answer: Answer, packages: Sequence[str]) -> list[str]:
    """Say what to do instead of what can't be had here."""
    advice: list[str] = []
    if _NETWORK in answer.denied:
        advice.append("There is no network here: get data with another tool, or put it into the code.")
    if _READ_ONLY in answer.denied:
        advice.append("Only the current folder and /tmp can be written to.")
    if answer.kind in {"ModuleNotFoundError", "ImportError"}:
        there = f"{', '.join(packages)} and the standard library" if packages else "the standard library alone"
        advice.append(f"There is {there}; nothing can be installed. Do it with these.")
    return advice


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _size(size: int) -> str:
    return f"{size} bytes" if size < 1024 else f"{size / 1024:.0f} KB"
