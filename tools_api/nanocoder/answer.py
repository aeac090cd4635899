"""From a run of the agent to words: for programs (`data`), for models (`content`), and why it failed (`error`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.tools_contract import ToolError
from tools_api.sandbox import LimitName, Limits, Outcome

MIB = 1 << 20
_MAX_LOG = 4000
_SHOWN_CALLS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAnswer:
    """What a run came to. Every text is hostile and bounded; `kind` is nanocoder's word, `success` for a good end."""

    kind: str | None
    text: str
    message: str
    calls: tuple[str, ...]
    input_tokens: int | None
    output_tokens: int | None
    log: str
    limit: LimitName | None
    denied: tuple[str, ...]
    asked: int
    """How often it asked its model."""
    problem: str | None
    """What went wrong on the way to the model, in our own words."""


def read_answer(outcome: Outcome, *, asked: int, problem: str | None) -> AgentAnswer:
    """Read the report that `inside/launch.py` wrote, if it came to that."""
    parts = outcome.report.decode("utf-8", "replace").split("\0")
    pairs = list(zip(parts[::2], parts[1::2], strict=False))
    single = dict(pairs)
    return AgentAnswer(
        kind=single.get("kind"),
        text=single.get("text", "").strip(),
        message=single.get("message", "").strip(),
        calls=tuple(value for name, value in pairs if name == "call"),
        input_tokens=_count(single.get("input_tokens", "")),
        output_tokens=_count(single.get("output_tokens", "")),
        log=outcome.stderr.decode("utf-8", "replace")[-_MAX_LOG:],
        limit=outcome.limit,
        denied=outcome.denied,
        asked=asked,
        problem=problem,
    )


def error_of(answer: AgentAnswer, limits: Limits) -> ToolError | None:
    """Say why the run failed in words that a model can act on; None if it did not."""
    if answer.limit and not (answer.limit == "files" and answer.kind == "success"):
        return ToolError(type=answer.limit, message=_limit_text(answer.limit, limits))
    if answer.kind == "success":
        return None
    if answer.problem:
        return ToolError(type="model_failed", message=f"The coding agent had no model. {answer.problem}")
    if answer.kind is None:
        return ToolError(type="crashed", message="The coding agent broke off without a result.")
    return ToolError(type="agent_failed", message=f"The coding agent gave up: {answer.message or answer.kind}")


def as_text(answer: AgentAnswer, limits: Limits, files: Sequence[str], notes: Sequence[str]) -> str:
    """Render what a model wants to read: the answer, why there is none, and the files."""
    parts = [answer.text]
    if error := error_of(answer, limits):
        parts.append(f"[{error.message}]")
        parts += [f"[what it did: {'; '.join(answer.calls[-_SHOWN_CALLS:])}]"] if answer.calls else []
    parts += [f"[not returned: {'; '.join(answer.denied)}]"] if answer.denied else []
    parts += [f"[{note}]" for note in notes]
    parts += [f"[files: {', '.join(files)}]"] if files else []
    return "\n".join(part for part in parts if part) or "(the agent said nothing)"


def as_data(answer: AgentAnswer, files: Sequence[str]) -> dict[str, Any]:
    """Render the same for programs."""
    return {
        "text": answer.text,
        "tool_calls": list(answer.calls),
        "files": list(files),
        "limit": answer.limit,
        "model_requests": answer.asked,
        "tokens": {"input": answer.input_tokens, "output": answer.output_tokens},
        "log": answer.log,
    }


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _limit_text(limit: LimitName, limits: Limits) -> str:
    texts: dict[LimitName, str] = {
        "timeout": f"The coding agent did not finish within {limits.wall_s:.3g} s and was stopped. "
        "Give it a smaller task, or split the work into several calls.",
        "cpu": f"The task used more than {limits.cpu_s:.3g} s of processor time and was stopped. Ask for less.",
        "memory": f"The task needed more than {limits.memory_bytes // MIB} MB of memory and was stopped. "
        "Ask for smaller data, or for work in pieces.",
        "output": "The coding agent printed more than it may and was stopped.",
        "files": f"The task met the limit of files: {limits.workspace_bytes // MIB} MB of space, and "
        f"{limits.max_files} files of together {limits.max_file_bytes // MIB} MB returned. "
        "Ask for fewer or smaller ones.",
    }
    return texts[limit]
