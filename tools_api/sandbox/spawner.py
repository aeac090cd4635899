"""Starts sandboxes: brings recipe, filter, interpreter, user and control groups together."""

import asyncio
import contextlib
import os
import shutil
import stat
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.bubblewrap import Recipe
from tools_api.sandbox.cgroup import CgroupFactory, CgroupV1, CgroupV2, find_cgroups
from tools_api.sandbox.execution import Execution
from tools_api.sandbox.host_user import HostUserUnusable, OrdinaryUser, Root
from tools_api.sandbox.interpreter import Interpreter
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, ReadOnlyTree
from tools_api.sandbox.pipes import pipe_holding, reader_of
from tools_api.sandbox.process import BubblewrapProcess
from tools_api.sandbox.seccomp import SeccompUnavailable, compile_filter

_SUPERVISOR = ReadOnlyTree(Path(__file__).parent / "inside" / "supervisor.py", "/opt/supervisor.py")
_ENTER_CGROUPS = 'until [ "$1" = -- ]; do echo 0 >"$1/cgroup.procs" || exit 71; shift; done; shift; exec "$@"'

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


class Unusable(Exception):
    """This machine can't run sandboxes; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Spawner:
    """What is the same for every sandbox of this process."""

    bubblewrap: Path
    interpreter: Interpreter
    seccomp_filter: bytes
    loopback_filter: bytes
    host_user: OrdinaryUser | Root
    cgroups: CgroupFactory | None

    @contextlib.asynccontextmanager
    async def spawn(self, job: Job, limits: Limits) -> AsyncGenerator[tuple[Execution, CgroupV1 | CgroupV2 | None]]:
        """Start a sandbox for `job`; at the end nothing of it is left. Raises `SandboxBroken`, `Unusable`."""
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

    def close(self) -> None:
        """Let go of what outlives single sandboxes."""
        self.host_user.close()
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
        try:
            entry = await self.host_user.enter((*self.interpreter.trees, _SUPERVISOR, *job.trees))
        except (HostUserUnusable, OSError) as error:
            raise Unusable(str(error)) from None
        with contextlib.ExitStack() as ours:
            seccomp_fd = pipe_holding(self.loopback_filter if job.loopback else self.seccomp_filter, ours)
            result_read, result_write = os.pipe()
            ours.callback(os.close, result_write)
            recipe = Recipe(
                bubblewrap=self.bubblewrap,
                trees=entry.trees,
                hidden=self.interpreter.hidden,
                env={**self.interpreter.env, **job.env, **_channel_env(job)},
                limits=limits,
                seccomp_fd=seccomp_fd,
            )
            rlimits = limits.as_rlimits(bounded_address_space=job.bounded_address_space)
            inside = (*self.interpreter.argv, _SUPERVISOR.target, str(result_write), rlimits)
            argv = [*_join(cgroup), *entry.argv, *recipe.argv(inside)]
            result, transport = await reader_of(result_read)
            with contextlib.ExitStack() as if_not_started:
                if_not_started.callback(transport.close)
                channel = (job.channel.fileno(),) if job.channel else ()
                process = await _exec(argv, (seccomp_fd, result_write, *channel))
                if_not_started.pop_all()
            return Execution(BubblewrapProcess(process, result), limits)


def prepare(*, bubblewrap: Path | None, interpreter: Interpreter, use_cgroups: bool) -> Spawner:
    """Look at the machine. Raises `Unusable` with what is missing; whether it isolates is the self-test's question."""
    if sys.platform != "linux":
        raise Unusable("this system has no Linux namespaces; run the tools API on Linux, in a virtual machine say")
    binary = _find_bubblewrap(bubblewrap)
    try:
        seccomp_filter, loopback_filter = compile_filter(), compile_filter(loopback=True)
    except SeccompUnavailable as error:
        raise Unusable(str(error)) from None
    return Spawner(
        bubblewrap=binary,
        interpreter=interpreter,
        seccomp_filter=seccomp_filter,
        loopback_filter=loopback_filter,
        host_user=Root() if os.geteuid() == 0 else OrdinaryUser(),
        cgroups=find_cgroups() if use_cgroups else None,
    )


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


def _join(cgroup: CgroupV1 | CgroupV2 | None) -> Sequence[str]:
    """Enter the control groups first, so that no child of bwrap is ever outside them."""
    if cgroup is None:
        return ()
    return ("/bin/sh", "-c", _ENTER_CGROUPS, "sh", *map(str, cgroup.folders), "--")


async def _exec(argv: Sequence[str], pass_fds: tuple[int, ...]) -> asyncio.subprocess.Process:
    """Spawn from the event loop's thread: --die-with-parent means the *thread*, and this one outlives the run."""
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,  # pipes, never descriptors of ours
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=pass_fds,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise Unusable(f"{argv[0]} could not be started: {error.strerror}") from None
