"""Whether the sandbox still isolates when its runs may open TCP sockets: the self-test once more, with that filter.

It is made at the start, and again with the next run after the sandbox has looked at itself (every ten minutes).
"""

import asyncio
from dataclasses import replace

from shared.logging import get_logger
from tools_api.sandbox import Job, Outcome, Sandbox, SandboxReport, SandboxUnavailable
from tools_api.sandbox.selftest import SelfTestFailed, run_self_test

_log = get_logger("nanocoder")


class Readiness:
    """Follows one sandbox; `problem` is None while tasks may be run in it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._proven: SandboxReport | None = None
        self._failed: tuple[SandboxReport, str] | None = None
        self._proving = asyncio.Lock()

    @property
    def problem(self) -> str | None:
        """Say why no task may be run now. What failed once may be tried again when the sandbox has a new report."""
        report = self._sandbox.report
        if not report.available:
            return report.reason
        if report.abilities and not report.abilities.channels:
            return f"nanocoder needs the sandbox level ns-seccomp, and this one is {report.level}"
        return self._failed[1] if self._failed and self._failed[0] is report else None

    async def prove(self) -> None:
        """Make the self-test with TCP sockets, unless it has been made since the sandbox's last one."""
        async with self._proving:
            report = self._sandbox.report
            if self._proven is report or self.problem:
                return
            try:
                await run_self_test(self._run)
            except (SelfTestFailed, SandboxUnavailable, OSError) as error:
                _log.error("nanocoder_self_test_failed", problem=str(error))
                self._failed = (report, f"the self-test with TCP sockets failed: {error}")
            else:
                self._proven = report

    async def _run(self, job: Job) -> Outcome:
        return await self._sandbox.run(replace(job, loopback=True))
