"""The zygote as the host holds it: it is asked for forks, and each that comes is inspected before it is believed."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
from collections.abc import Callable
from typing import Self

from tools_api.sandbox.cgroup import Cgroup
from tools_api.sandbox.launch import SCRIPTS, Box, Launcher
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.pipes import pipe_holding
from tools_api.sandbox.process import SandboxBroken, kill_bubblewrap
from tools_api.sandbox.selftest import PROBE
from tools_api.sandbox.warm.inspection import Namespaces, inspect, pid_behind, uid_of
from tools_api.sandbox.warm.profile import WarmProfile
from tools_api.sandbox.warm.worker import WarmWorker, WorkerPipes

_READY = "ready"
_IMPORTING_S = 120.0
_FORKING_S = 10.0
_LAST_WORDS_S = 2.0
_PIECE = 1 << 16


class Zygote:
    """A started zygote. `on_change` is told when it dies and when one of its workers is gone."""

    def __init__(
        self, process: asyncio.subprocess.Process, control: socket.socket, on_change: Callable[[], None]
    ) -> None:
        self._process = process
        self._control = control
        self._on_change = on_change
        self._numbers = itertools.count(1)
        self._expected: dict[str, asyncio.Future[int]] = {}
        self._workers: set[WarmWorker] = set()
        self._pidfd = -1
        self._uid = 0
        self.pid = -1
        self.alive = True
        self._said = bytearray()
        self._listening = asyncio.gather(self._listen(process.stdout), self._listen(process.stderr))
        self._ending: asyncio.Future[None] | None = None
        self._ready = self._expect(_READY)
        asyncio.get_running_loop().add_reader(control, self._receive)

    @classmethod
    async def launch(cls, launcher: Launcher, profile: WarmProfile, on_change: Callable[[], None]) -> Self:
        """Start one; it imports until it is ready. Raises `Unusable`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with contextlib.ExitStack() as if_not_started, contextlib.ExitStack() as given, theirs:
            if_not_started.callback(ours.close)
            filter_fd = pipe_holding(launcher.seccomp_filter, given)
            box = Box(
                script=f"{SCRIPTS.target}/zygote.py",
                arguments=(str(theirs.fileno()), str(filter_fd), *((profile.preload,) if profile.preload else ())),
                pass_fds=(theirs.fileno(), filter_fd),
                trees=(SCRIPTS, PROBE, *profile.trees),
                env=profile.env,
                limits=profile.limits,
                seccomp_filter=None,  # which its forks load themselves
            )
            process = await launcher.start(box)
            if_not_started.pop_all()
        return cls(process, ours, on_change)

    @property
    def has_workers(self) -> bool:
        """Say whether a fork of it still runs; it can't be closed without killing those."""
        return bool(self._workers)

    async def until_ready(self) -> None:
        """Wait until it has imported everything. Raises `SandboxBroken` if it never has."""
        try:
            async with asyncio.timeout(_IMPORTING_S):
                self._pidfd = await self._ready
        except TimeoutError:
            raise SandboxBroken(f"the zygote did not start within {_IMPORTING_S:g} s") from None
        self.pid = pid_behind(self._pidfd)
        try:
            self._uid = uid_of(self.pid)
            Namespaces.of(self.pid)  # a worker must be known to be apart from it
        except OSError as error:
            raise SandboxBroken(f"the zygote can't be inspected: {error.strerror}") from None
        if self._uid == 0:
            raise SandboxBroken("the zygote runs as the kernel's uid 0")

    async def fork(self, limits: Limits, cgroup: Cgroup | None) -> WarmWorker:
        """Return a worker that waits for its job, in `cgroup` and inspected. Raises `SandboxBroken`."""
        number = str(next(self._numbers))
        with contextlib.ExitStack() as if_not_forked:
            pipes = await WorkerPipes.make()
            if_not_forked.callback(pipes.close)
            answer = self._expect(number)
            if_not_forked.callback(self._expected.pop, number, None)
            self._send(f"{number}\0{limits.as_rlimits()}\0{limits.workspace_bytes}\0{limits.scratch_bytes}", pipes)
            try:
                async with asyncio.timeout(_FORKING_S):
                    worker = WarmWorker(await answer, pipes, limits, self._forget)
            except TimeoutError:
                raise SandboxBroken("the zygote did not fork in time") from None
            if_not_forked.pop_all()
        self._workers.add(worker)
        try:
            await self._prepare(worker, limits, cgroup)
        except BaseException:  # a cancelled caller must leave no worker behind either
            await asyncio.shield(worker.gone())
            raise
        return worker

    async def aclose(self) -> None:
        """Kill it and all that came from it, and wait for its end."""
        self.alive = False
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        kill_bubblewrap(self._process)
        if self._process.stdin:
            self._process.stdin.close()
        await self._listening
        await self._process.wait()
        for worker in list(self._workers):
            await worker.gone()
        if self._ending:
            await self._ending
        self._give_up("the zygote was closed")
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    async def _prepare(self, worker: WarmWorker, limits: Limits, cgroup: Cgroup | None) -> None:
        try:
            async with asyncio.timeout(_FORKING_S):
                if cgroup:
                    await asyncio.to_thread(_enter, cgroup, worker.pid)
                if not worker.alive:
                    raise SandboxBroken("a fork of the zygote ended at once")
                await worker.go()
        except TimeoutError:
            raise SandboxBroken("a fork of the zygote did not get ready in time") from None
        except OSError as error:
            raise SandboxBroken(f"a fork of the zygote can't enter its control groups: {error.strerror}") from None
        others = [other.pid for other in self._workers if other is not worker and other.alive]
        inspect(worker.pid, uid=self._uid, limits=limits, apart_from=["self", self.pid, *others])

    def _expect(self, message: str) -> asyncio.Future[int]:
        self._expected[message] = asyncio.get_running_loop().create_future()
        return self._expected[message]

    def _send(self, request: str, pipes: WorkerPipes) -> None:
        try:
            socket.send_fds(self._control, [request.encode()], pipes.theirs)
        except OSError as error:
            raise SandboxBroken(f"the zygote takes no requests: {error.strerror}") from None
        finally:
            pipes.sent()

    def _receive(self) -> None:
        """Take one message from the zygote, or notice its end."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, 4096, 1)
        except BlockingIOError:
            return
        except OSError:
            message, descriptors = b"", []
        if not message:
            asyncio.get_running_loop().remove_reader(self._control)
            self.alive = False
            self._ending = asyncio.ensure_future(self._explain_end())
            return
        number, _, why = message.decode("utf-8", "replace").partition("\0")
        answer = self._expected.pop(number, None)
        if answer and not answer.done() and descriptors:
            answer.set_result(descriptors[0])
            return
        for descriptor in descriptors:  # nobody waits for it any more
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.close(descriptor)
        if answer and not answer.done():
            answer.set_exception(SandboxBroken(f"the zygote could not fork: {why}"))

    async def _explain_end(self) -> None:
        """Tell all who wait why it ended, which it may have said a moment before or after."""
        await asyncio.wait({self._listening}, timeout=_LAST_WORDS_S)
        lines = self._said.decode("utf-8", "replace").strip().splitlines()
        self._give_up(f"the zygote ended: {lines[-1][:300]}" if lines else "the zygote ended without a word")
        self._on_change()

    def _give_up(self, why: str) -> None:
        for answer in self._expected.values():
            if not answer.done():
                answer.set_exception(SandboxBroken(why))
        self._expected.clear()

    def _forget(self, worker: WarmWorker) -> None:
        self._workers.discard(worker)
        self._on_change()

    async def _listen(self, stream: asyncio.StreamReader | None) -> None:
        """Keep the end of what it says: why it could not import, say."""
        while stream and (piece := await stream.read(_PIECE)):
            self._said += piece
            del self._said[:-_PIECE]


def _enter(cgroup: Cgroup, pid: int) -> None:
    for folder in cgroup.folders:
        (folder / "cgroup.procs").write_text(str(pid))
