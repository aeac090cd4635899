"""The level `remote`: runs happen in a runner, elsewhere. Known by its URL and a key, proven by self-tests through it.

It is as good as the level that the runner itself uses, plus the wall around the runner: a pod under gVisor or Kata, a
machine of its own (`deploy/kubernetes`). The runner's own self-test has to hold, on its machine; then the same test is
run through it from here, which also shows that neither this machine's sockets nor its files can be reached from there;
it has to turn a wrong key away; and it has to have the same scripts. Its packages are its own matter.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import aiohttp

from shared.http_client import create_http_session
from tools_api.sandbox import selftest
from tools_api.sandbox.landlock import selftest as landlock_selftest
from tools_api.sandbox.level import LevelFailed, Standing
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import (
    Abilities,
    Job,
    Level,
    Outcome,
    OutputListener,
    ReadOnlyTree,
    SandboxBusy,
    SandboxFile,
    SandboxUnavailable,
)
from tools_api.sandbox.remote.client import (
    JobRefused,
    RunnerBrokeOff,
    RunnerBusy,
    RunnerClient,
    RunnerReport,
    RunnerUnusable,
)
from tools_api.sandbox.remote.trees import tree_names
from tools_api.sandbox.remote.wire import PROTOCOL, BadMessage, encode_job
from tools_api.sandbox.selftest import SelfTestFailed

_SELF_TESTS: dict[str, Callable[[selftest.Run], Awaitable[dict[str, bool]]]] = {
    "ns-seccomp": selftest.run_self_test,
    "landlock-seccomp": landlock_selftest.run_self_test,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """Where the runner is, what it knows us by, and the scripts that it has to have in the same version."""

    url: str
    key: str = field(repr=False)
    scripts: tuple[ReadOnlyTree, ...] = ()


class Remote:
    """Sends each job to a runner. Without options there is none."""

    name: Level = "remote"
    abilities = Abilities(programs=True, native_code=True)

    def __init__(self, options: RemoteOptions | None, *, most: Limits) -> None:
        self._options = options
        self._most = most
        self._session: aiohttp.ClientSession | None = None
        self._is_trusted = False

    async def probe(self) -> Standing:
        """Ask the runner how it stands, and test it. Raises `LevelFailed`."""
        self._is_trusted = False
        try:
            client = self._client()
            report = await client.report()
            checks = _must_stand(report)
            checks["key_required"] = await client.refuses(secrets.token_hex(20))
            checks["scripts_same"] = self._has_our_scripts(report)
            _must_hold(checks)
            checks |= await _SELF_TESTS[report.level or ""](self._run_for_test)
        except (RunnerUnusable, RunnerBusy, RunnerBrokeOff, BadMessage) as error:
            raise LevelFailed(_explained(error)) from None
        except SelfTestFailed as error:
            raise LevelFailed(
                f"the self-test through the runner failed: {error}", failure="self_test", checks=error.checks
            ) from None
        except OSError as error:
            raise LevelFailed(f"the self-test could not be made: {error.strerror}", failure="self_test") from None
        self._is_trusted = True
        return Standing(memory=report.memory or "watchdog", python=report.python or "3", checks=checks)

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        """Run `job` there. Raises `LevelFailed`, `SandboxBusy`, and `SandboxUnavailable` if it may have run."""
        if job.needs_namespaces:
            raise SandboxUnavailable(f"The sandbox level {self.name} has no channel to this machine for this program.")
        if not self._is_trusted:
            raise LevelFailed("the runner broke off a run; it has to pass its self-test again")
        try:
            return await self._sent(job, limits, on_output)
        except RunnerBusy:
            raise SandboxBusy("All sandboxes are busy; try again in a moment.", retry_after=1.0) from None
        except JobRefused as error:  # of this caller's making: nobody else's runs suffer for it
            raise SandboxUnavailable(f"The job cannot be run: {error}. Send fewer or smaller files.") from None
        except RunnerBrokeOff as error:
            self._is_trusted = False
            raise SandboxUnavailable(
                f"The run broke off: {_explained(error)}. Repeat the call.", retry_after=1.0
            ) from None
        except RunnerUnusable as error:
            raise LevelFailed(_explained(error)) from None

    async def aclose(self) -> None:
        """Close the connections."""
        self._is_trusted = False
        if self._session:
            await self._session.close()
            self._session = None

    async def _run_for_test(self, job: Job) -> Outcome:
        try:
            return await self._sent(job, (job.limits or self._most).within(self._most), None)
        except JobRefused as error:
            raise RunnerUnusable(str(error)) from None

    async def _sent(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        if job.stored:
            job = await asyncio.to_thread(_with_stored, job)
        try:
            encoded = encode_job(job, limits, tree_names(job.trees), live=on_output is not None)
        except BadMessage as error:
            raise JobRefused(f"it cannot be sent to the runner: {error}") from None
        return await self._client().run(encoded, limits, on_output)

    def _has_our_scripts(self, report: RunnerReport) -> bool:
        there = {tree.target: tree.version for tree in report.trees}
        return all(
            there.get(tree.target) == tree.version
            for tree in tree_names(self._options.scripts if self._options else ())
        )

    def _client(self) -> RunnerClient:
        if self._options is None:
            raise RunnerUnusable("no runner is named: set SANDBOX_REMOTE_URL and SANDBOX_REMOTE_KEY")
        if self._session is None:
            self._session = create_http_session()
        return RunnerClient(self._session, self._options.url, self._options.key)


def _with_stored(job: Job) -> Job:
    """Read the stored files: a runner is sent a job as a whole. Raises `JobRefused` for one that is gone."""
    try:
        read = tuple(SandboxFile(file.name, file.path.read_bytes()) for file in job.stored)
    except OSError as error:
        raise JobRefused(f"a file of it can't be read ({error.strerror})") from None
    return replace(job, files=(*job.files, *read), stored=())


def _must_stand(report: RunnerReport) -> dict[str, bool]:
    """Return what the runner's own self-test found. Raises `RunnerUnusable`."""
    if report.protocol != PROTOCOL:
        raise RunnerUnusable(f"the runner speaks version {report.protocol} of the protocol, not {PROTOCOL}: update it")
    if not report.available or report.level not in _SELF_TESTS:
        raise RunnerUnusable(f"the runner has no sandbox: {report.reason or report.level}")
    return {f"runner_{name}"[:60]: holds for name, holds in report.checks.items()} | {
        "runner_tested": bool(report.checks)
    }


def _must_hold(checks: dict[str, bool]) -> None:
    if failed := [name for name, holds in checks.items() if not holds]:
        raise SelfTestFailed(f"{', '.join(failed)} did not hold; do service and runner have the same version?", checks)


def _explained(error: Exception) -> str:
    return f"runner: {error}" if str(error) else "runner: it is busy"
