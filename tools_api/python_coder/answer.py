"""From a sandbox's outcome to words: for programs (`data`), for models (`content`), and why it failed (`error`)."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.tools_contract import ToolError
from tools_api.sandbox import Limits, Outcome

MIB = 1 << 20

_LIMITS = frozenset({"timeout", "cpu", "memory", "output", "files", "processes"})
"""The words that a report may use: they become error types and labels of metrics, which must stay few."""
_MOST_REASONS = 50
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a run came to. Every text is hostile and bounded; `limit` names the limit that it met, if any."""

    stdout: str
    stderr: str
    value: str | None
    traceback: str | None
    error: str | None
    """The exception in one line."""
    limit: str | None
    denied: tuple[str, ...]
    exit_code: int | None


def read_answer(outcome: Outcome) -> Answer:
    """Read the report that `inside/run_code.py` wrote, if it came to that."""
    fields = _fields(outcome.report)
    kind = fields.get("error")
    message = fields.get("message", "")
    denied = [value[:_LONGEST_REASON] for name, value in fields.items() if name.startswith("denied")]
    claimed = fields.get("limit")
    return Answer(
        stdout=outcome.stdout.decode("utf-8", "replace"),
        stderr=outcome.stderr.decode("utf-8", "replace"),
        value=fields.get("value"),
        traceback=fields.get("traceback"),
        error=(f"{kind}: {message}" if message else kind) if kind else None,
        limit=outcome.limit or (claimed if claimed in _LIMITS else None),
        denied=tuple(dict.fromkeys((*denied[:_MOST_REASONS], *outcome.denied))),
        exit_code=outcome.exit_code,
    )


def error_of(answer: Answer, limits: Limits) -> ToolError | None:
    """Say why the run failed in words that a model can act on; None if it did not."""
    if answer.limit and not _only_results_cut(answer):
        return ToolError(type=answer.limit, message=_limit_text(answer.limit, limits))
    if answer.error:
        return ToolError(type="exception", message=answer.error)
    if answer.exit_code is None:
        return ToolError(type="crashed", message="The run broke off without a result; the code may have killed itself.")
    if answer.exit_code < 0:
        return ToolError(type="crashed", message=f"The interpreter crashed ({_signal_name(-answer.exit_code)}).")
    if answer.exit_code > 0:
        return ToolError(type="exit", message=f"The code ended with exit status {answer.exit_code}.")
    return None


def as_text(answer: Answer, limits: Limits, files: Mapping[str, int], notes: tuple[str, ...]) -> str:
    """Render what a model wants to read, in the order in which things happened."""
    parts = [answer.stdout.rstrip("\n"), answer.value or ""]
    if answer.stderr.strip():
        parts.append(f"[stderr]\n{answer.stderr.rstrip()}")
    parts.append((answer.traceback or "").rstrip())
    if answer.limit:
        parts.append(f"[{_limit_text(answer.limit, limits)}]")
    elif not answer.traceback and (error := error_of(answer, limits)):
        parts.append(f"[{error.message}]")
    if "network" in answer.denied:
        parts.append("[There is no network here: get data with another tool, or put it into the code.]")
    left_out = [reason for reason in answer.denied if reason != "network"]
    parts += [f"[not returned: {'; '.join(left_out)}]"] if left_out else []
    parts += [f"[{note}]" for note in notes]
    if files:
        parts.append("[files: " + ", ".join(f"{name} ({_size(size)})" for name, size in files.items()) + "]")
    return "\n".join(part for part in parts if part) or "(the code printed nothing)"


def as_data(answer: Answer, files: Mapping[str, int]) -> dict[str, Any]:
    """Render the same for programs."""
    return {
        "stdout": answer.stdout,
        "stderr": answer.stderr,
        "traceback": answer.traceback,
        "value": answer.value,
        "files": list(files),
        "limit": answer.limit,
    }


def _fields(report: bytes) -> dict[str, str]:
    parts = report.decode("utf-8", "replace").split("\0")
    return dict(zip(parts[::2], parts[1::2], strict=False))


def _only_results_cut(answer: Answer) -> bool:
    """Say whether the code itself came to a good end and only its files are too many or too large."""
    return answer.limit == "files" and answer.exit_code == 0 and answer.error is None


def _limit_text(limit: str, limits: Limits) -> str:
    texts = {
        "timeout": f"The code did not finish within {limits.wall_s:.3g} s and was stopped. "
        "Do less, use a faster method, or split the work into several calls.",
        "cpu": f"The code used more than {limits.cpu_s:.3g} s of processor time and was stopped. "
        "Do less, or use fewer processes.",
        "memory": f"The code needed more than {limits.memory_bytes // MIB} MB of memory. "
        "Work on smaller pieces or with smaller data types.",
        "output": f"The code printed more than {limits.output_bytes // 1024} KB and was stopped. "
        "Print less, or write to a file.",
        "files": f"The code met the limit of files: {limits.workspace_bytes // MIB} MB of space, "
        f"{limits.file_bytes // MIB} MB a file, {limits.open_files} open at once, and {limits.max_files} files of "
        f"together {limits.max_file_bytes // MIB} MB returned. Write fewer or smaller ones.",
        "processes": f"The code started more than {limits.processes} processes and threads. Use fewer.",
    }
    return texts.get(limit, "The code met a limit and was stopped.")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _size(size: int) -> str:
    return f"{size} bytes" if size < 1024 else f"{size / 1024:.0f} KB"
