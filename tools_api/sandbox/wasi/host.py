"""The service's side of `child/`: starts the server, asks it for runs, and holds each as a `SandboxProcess`."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
import tempfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from shared.logging import get_logger
from tools_api.sandbox.host_user import SANDBOX_UID
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.pipes import reader_of, writer_of
from tools_api.sandbox.process import SandboxBroken
from tools_api.sandbox.process_tree import kernel_uids
from tools_api.sandbox.protocol import HELLO

_log = get_logger(__name__)

_SCRIPT = Path(__file__).parent / "child" / "server.py"
_START_TIMEOUT_S = 30.0
_READY_TIMEOUT_S = 10.0
_ENDING_S = 5.0
_PIECE = 1 << 16
_PID_BYTES = 8


class WasiProcess:
    """One run's keeper, which waits for its job. It lives as long as `life` is open, at most."""

    def __init__(
        self,
        stdin: asyncio.StreamWriter,
        outputs: tuple[asyncio.StreamReader, asyncio.StreamReader, asyncio.StreamReader],
        life: socket.socket,
    ) -> None:
        self.stdin = stdin
        self.stdout, self.stderr, self.result = outputs
        self._life = life
        self._pid = 0

    @property
    def pid(self) -> int:
        return self._pid

    async def until_ready(self) -> None:
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                hello = await self.result.readexactly(_PID_BYTES + len(HELLO))
        except (TimeoutError, asyncio.IncompleteReadError):
            raise SandboxBroken("no process could be forked for the run") from None
        self._pid = int.from_bytes(hello[:_PID_BYTES], "big")
        if 0 in kernel_uids(self._pid):
            raise SandboxBroken("it runs as the kernel's uid 0")

    async def ended(self) -> None:
        """Nothing to wait for: the result's end, which was read, is the process's."""

    def kill(self) -> None:
        """Let go of it: the keeper kills the run, cleans up and ends. Its pid may be another's by now, so no signal."""
        self._life.close()

    async def gone(self) -> None:
        self.kill()
        self.stdin.close()
        try:
            async with asyncio.timeout(_ENDING_S):
                for reader in (self.stdout, self.stderr, self.result):
                    while await reader.read(_PIECE):
                        pass
        except TimeoutError:
            _log.error("sandbox_survived_its_end", pid=self._pid)


class Server:
    """A started server and the folder of its runs. Make it with `start_server`."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket, folder: Path) -> None:
        self._process = process
        self._control = control
        self._folder = folder

    @property
    def alive(self) -> bool:
        """Say whether it has not ended, whether or not asyncio knows yet."""
        try:
            ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return self._process.returncode is None and ended is None

    async def fork(self, limits: Limits) -> WasiProcess:
        """Have it fork a keeper. Raises `SandboxBroken`, `OSError`."""
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as if_failed:
            stdin_read, stdin_write = _pipe(theirs, ours=1)
            if_failed.callback(os.close, stdin_write)
            pipes = [_pipe(theirs, ours=0) for _ in range(3)]
            for read, _ in pipes:
                if_failed.callback(os.close, read)
            life, their_life = socket.socketpair()
            theirs.callback(their_life.close)
            if_failed.callback(life.close)
            descriptors = [stdin_read, *(write for _, write in pipes), their_life.fileno()]
            try:
                socket.send_fds(self._control, [json.dumps(asdict(limits)).encode()], descriptors)
            except OSError as error:
                raise SandboxBroken(f"the process that runs come from has gone: {error.strerror}") from None
            if_failed.pop_all()
        outputs = [(await reader_of(read))[0] for read, _ in pipes]
        return WasiProcess(await writer_of(stdin_write), (outputs[0], outputs[1], outputs[2]), life)

    async def aclose(self) -> None:
        """End it, and with it the runs that are left; remove their folder."""
        self._control.close()
        if self._process.stdin:
            self._process.stdin.close()
        if not await self._has_ended():
            self._process.kill()
            if not await self._has_ended():
                _log.error("sandbox_survived_its_end", pid=self._process.pid)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _has_ended(self) -> bool:
        try:
            async with asyncio.timeout(_ENDING_S):
                for reader in (self._process.stdout, self._process.stderr):
                    while reader and await reader.read(_PIECE):  # asyncio learns of an exit at the pipes' end
                        pass
                await self._process.wait()
        except TimeoutError:
            return False
        return True


async def start_server(artefact: Path) -> Server:
    """Start the server and wait until it has given up its rights. Raises `SandboxBroken`, `OSError`."""
    folder = Path(tempfile.mkdtemp(prefix="twinport-wasi-"))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    try:
        if os.geteuid() == 0:
            os.chown(folder, SANDBOX_UID, SANDBOX_UID)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(_SCRIPT), str(artefact), str(folder), str(theirs.fileno()), str(SANDBOX_UID)),
            _packages(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
        server = Server(process, ours, folder)
    except BaseException:
        ours.close()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise
    finally:
        theirs.close()
    try:
        await _until_ready(process)
    except BaseException:
        await server.aclose()
        raise
    return server


def _packages() -> str:
    """Return the folder that has wasmtime, wherever the service found it. Raises `SandboxBroken`."""
    spec = find_spec("wasmtime")
    if spec is None or spec.origin is None:
        raise SandboxBroken("wasmtime is not installed")
    return str(Path(spec.origin).parents[1])


def _environment() -> dict[str, str]:
    env = {"TOKIO_WORKER_THREADS": "1"}  # wasmtime's; a run waits for one thing at a time
    if path := os.environ.get("LD_LIBRARY_PATH"):  # where our own Python found its library
        env["LD_LIBRARY_PATH"] = path
    return env


async def _until_ready(process: asyncio.subprocess.Process) -> None:
    if process.stdout is None or process.stderr is None:
        raise SandboxBroken("it has no pipes")
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            if await process.stdout.readline() == b"ready\n":
                return
            said = (await process.stderr.read(_PIECE)).decode("utf-8", "replace").strip().splitlines()
    except TimeoutError:
        raise SandboxBroken(f"it did not start within {_START_TIMEOUT_S:g} s") from None
    raise SandboxBroken(said[-1][:300] if said else "it ended without a word")


def _pipe(theirs: contextlib.ExitStack, *, ours: int) -> tuple[int, int]:
    """Make a pipe whose other end than `ours` (0 reads, 1 writes) is closed here once it has been passed on."""
    ends = os.pipe()
    theirs.callback(os.close, ends[1 - ours])
    return ends
