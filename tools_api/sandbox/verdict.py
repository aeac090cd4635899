"""What a run came to: what was measured outside, with what the supervisor says of it, which is not believed further."""

import os
import signal
from collections.abc import Sequence
from dataclasses import replace

from tools_api.sandbox.cgroup import Usage
from tools_api.sandbox.outcome import LimitName, Outcome
from tools_api.sandbox.protocol import Answer


def make_outcome(
    answer: Answer | None,
    *,
    limit: LimitName | None,
    usage: Usage,
    processes: int,
    wall_s: float,
    stdout: bytes,
    stderr: bytes,
) -> Outcome:
    """Put an outcome together. Without an `answer` the sandbox was killed or broke, and that is the result."""
    outcome = Outcome(
        exit_code=None,
        stdout=stdout,
        stderr=stderr,
        limit="memory" if limit is None and usage.killed else limit,
        wall_s=wall_s,
        cpu_s=usage.cpu_s,
        peak_memory_bytes=usage.peak_bytes,
        processes=processes,
    )
    if answer is not None:
        outcome = _with_answer(outcome, answer, most_cpu_s=wall_s * (os.cpu_count() or 1))
    texts = (outcome.stdout, outcome.stderr, outcome.report, *(file.content for file in outcome.files))
    return replace(outcome, bytes_out=sum(map(len, texts)))


def _with_answer(outcome: Outcome, answer: Answer, *, most_cpu_s: float) -> Outcome:
    """Add what the supervisor said; its figures only ever raise those that were measured outside."""
    limit = outcome.limit
    if limit is None and answer.timed_out:
        limit = "timeout"
    elif limit is None and answer.exit_code == -signal.SIGXCPU:
        limit = "cpu"
    elif limit is None and (answer.full or _cut_short(answer.refused)):
        limit = "files"
    return replace(
        outcome,
        exit_code=answer.exit_code,
        report=answer.report,
        files=answer.files,
        denied=answer.refused,
        limit=limit,
        cpu_s=max(outcome.cpu_s, min(answer.cpu_s, most_cpu_s)),
        peak_memory_bytes=max(outcome.peak_memory_bytes, answer.peak_bytes),
    )


def _cut_short(refused: Sequence[str]) -> bool:
    return any(reason.startswith(("too many files", "too large")) for reason in refused)
