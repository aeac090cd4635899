"""What a level of isolation is: one way to run untrusted code, which proves itself before it may.

A level knows nothing of the others. Which one is used, and what happens when it fails, is `sandbox.py`'s.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from tools_api.sandbox.cgroup import Cgroup
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Abilities, Job, Level, MemoryLimit, Outcome, OutputListener
from tools_api.sandbox.process import SandboxProcess

Failure = Literal["missing", "broken", "self_test"]
"""Why a level can't be used, in one word: something is not there, does not come up, or does not isolate."""


Opened = tuple[SandboxProcess, Cgroup | None]
"""A started sandbox, and the control groups that it is in."""


class LevelFailed(Exception):
    """The level can't be used now, and nothing of a job has run; the message says why and what to do."""

    def __init__(self, message: str, *, failure: Failure = "broken", checks: Mapping[str, bool] | None = None) -> None:
        super().__init__(message)
        self.failure: Failure = failure
        self.checks = checks or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a self-test that passed has found: who limits memory in sum, each check by name, which Python is inside."""

    memory: MemoryLimit
    python: str
    checks: Mapping[str, bool] = field(default_factory=dict[str, bool])


class Isolation(Protocol):
    """One level of isolation."""

    @property
    def name(self) -> Level: ...

    @property
    def abilities(self) -> Abilities:
        """Say what it can run on any machine; known before a self-test."""
        ...

    async def probe(self) -> Standing:
        """Open what is needed and run the self-test on the real thing. Raises `LevelFailed`; any doubt is a failure."""
        ...

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        """Run `job` by itself: nothing of another run is visible, nothing of this one outlives it.

        Raises `LevelFailed` only while nothing of the job has run, so that it may be given to another level.
        """
        ...

    async def aclose(self) -> None:
        """Let go of what outlives single runs. The next `probe` opens it again.

        A level that is not in use at the time keeps no more than it can afford to: nothing else closes it before.
        """
        ...


@runtime_checkable
class KeepsSessions(Protocol):
    """A level whose sandboxes can do one call after another."""

    def open(self, job: Job, limits: Limits) -> AbstractAsyncContextManager[Opened]:
        """Start a sandbox for the calls of a session, of which `job` is the first; at the end nothing of it is left.

        Raises `LevelFailed` if it did not come up.
        """
        ...
