"""Starts sandboxes: a waiting warm one where the job allows it, else a cold one that bubblewrap makes for the run."""

import asyncio
import contextlib
import os
import shutil
import stat
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.cgroup import CgroupFactory, CgroupV1, CgroupV2, find_cgroups
from tools_api.sandbox.execution import Execution
from tools_api.sandbox.host_user import OrdinaryUser, Root
from tools_api.sandbox.interpreter import Interpreter
from tools_api.sandbox.launch import SCRIPTS, Box, Launcher, Unusable
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job
from tools_api.sandbox.pipes import reader_of
from tools_api.sandbox.process import BubblewrapProcess
from tools_api.sandbox.seccomp import SeccompUnavailable, compile_filter
from tools_api.sandbox.warm.pool import WarmPool
from tools_api.sandbox.warm.profile import WarmProfile

# What a kernel may say about user namespaces, and what to do about it.
_SYSCTLS = (
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "install the AppArmor profile of bwrap (apt-get install apparmor-profiles), "
        "or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)


@dataclass(frozen=True, slots=True)
class Spawner:
    """What is the same for every sandbox of this process."""

    launcher: Launcher
    cgroups: CgroupFactory | None
    warm: WarmPool | None

    @contextlib.asynccontextmanager
    async def spawn(self, job: Job, limits: Limits) -> AsyncGenerator[tuple[Execution, CgroupV1 | CgroupV2 | None]]:
        """Get a sandbox for `job`; at the end it is killed, and a moment later nothing of it is left. Raises
        `SandboxBroken`, `Unusable`."""
        warm = self.warm
        taken = await warm.take(job, limits) if warm else None
        if warm is None or taken is None:
            async with self.spawn_cold(job, limits) as started:
                yield started
            return
        try:
            yield Execution(taken.process, limits), taken.cgroup
        finally:
            warm.clear_away(taken)

    @contextlib.asynccontextmanager
    async def spawn_cold(
        self, job: Job, limits: Limits
    ) -> AsyncGenerator[tuple[Execution, CgroupV1 | CgroupV2 | None]]:
        """Have bubblewrap make a sandbox for this job alone."""
        cgroup = self._create_cgroup(limits)
        try:
            execution = await self._start_whole(job, limits, cgroup)
            try:
                await execution.until_ready()
                yield execution, cgroup
            finally:
                await asyncio.shield(execution.gone())
        finally:
            if cgroup and self.cgroups:
                await asyncio.shield(self.cgroups.remove(cgroup))

    async def aclose(self) -> None:
        """Let go of what outlives single sandboxes."""
        if self.warm:
            await self.warm.aclose()
        self.launcher.host_user.close()
        if self.cgroups:
            self.cgroups.close()

    async def _start_whole(self, job: Job, limits: Limits, cgroup: CgroupV1 | CgroupV2 | None) -> Execution:
        """Start, and if cancelled meanwhile, start first and end then: asyncio can hang when it is cancelled while
        it connects a child's pipes."""
        starting = asyncio.ensure_future(self._start(job, limits, cgroup))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait({starting})
            if starting.exception() is None:
                await starting.result().gone()
            raise

    def _create_cgroup(self, limits: Limits) -> CgroupV1 | CgroupV2 | None:
        try:
            return self.cgroups.create(limits) if self.cgroups else None
        except OSError as error:
            raise Unusable(f"the control groups are no longer writable: {error.strerror}") from None

    async def _start(self, job: Job, limits: Limits, cgroup: CgroupV1 | CgroupV2 | None) -> Execution:
        result_read, result_write = os.pipe()
        try:
            result, transport = await reader_of(result_read)
            channel = (job.channel.fileno(),) if job.channel else ()
            rlimits = limits.as_rlimits(bounded_address_space=job.bounded_address_space)
            box = Box(
                script=f"{SCRIPTS.target}/supervisor.py",
                arguments=(str(result_write), rlimits),
                pass_fds=(result_write, *channel),
                trees=(SCRIPTS, *job.trees),
                env={**job.env, **_channel_env(job)},
                limits=limits,
                seccomp_filter=self.launcher.loopback_filter if job.loopback else self.launcher.seccomp_filter,
                cgroups=cgroup.folders if cgroup else (),
            )
            with contextlib.ExitStack() as if_not_started:
                if_not_started.callback(transport.close)
                process = await self.launcher.start(box)
                if_not_started.pop_all()
            return Execution(BubblewrapProcess(process, result), limits)
        finally:
            os.close(result_write)


def prepare(
    *, bubblewrap: Path | None, interpreter: Interpreter, use_cgroups: bool, warm: WarmProfile | None = None
) -> Spawner:
    """Look at the machine. Raises `Unusable` with what is missing; whether it isolates is the self-test's question."""
    if sys.platform != "linux":
        raise Unusable(
            "this system has no Linux namespaces: run the tools API on Linux, in a virtual machine say, or allow "
            "code to run in WebAssembly, with the standard library only (SANDBOX_LEVELS=ns-seccomp,wasi)"
        )
    binary = _find_bubblewrap(bubblewrap)
    try:
        filters = compile_filter(), compile_filter(loopback=True)
    except SeccompUnavailable as error:
        raise Unusable(str(error)) from None
    launcher = Launcher(binary, interpreter, *filters, Root() if os.geteuid() == 0 else OrdinaryUser())
    cgroups = find_cgroups() if use_cgroups else None
    return Spawner(launcher, cgroups, WarmPool(launcher, cgroups, warm) if warm else None)


def explain_broken(said: str) -> str:
    """Put into words why bwrap did not come up: `said` is its last line, the kernel's switches say the rest."""
    for path, bad, remedy in _SYSCTLS:
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        if value == bad:
            return f"this machine forbids user namespaces: {remedy}"
    return (
        f"bubblewrap could not set up a sandbox ({said}); in a container, allow user namespaces and mounts "
        "(a seccomp profile without the ban on clone and unshare, an unmasked /proc)"
    )


def _find_bubblewrap(wanted: Path | None) -> Path:
    found = wanted or shutil.which("bwrap")
    if not found or not os.access(found, os.X_OK):
        raise Unusable("bubblewrap is not installed: apt-get install bubblewrap")
    binary = Path(found).resolve()
    if binary.stat().st_mode & stat.S_ISUID:
        raise Unusable(f"{binary} is setuid root, which untrusted code has used before: chmod u-s on it")
    return binary


def _channel_env(job: Job) -> dict[str, str]:
    return {"SANDBOX_CHANNEL": str(job.channel.fileno())} if job.channel else {}
