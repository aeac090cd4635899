"""The supervisor's part of a session: one interpreter that lives on, call after call.

Loaded by `supervisor.py` for a session only, because every line that is read is paid by every run. Like the supervisor
it runs where nothing is trusted, and knows nothing of what it runs: what it says of itself the host takes as hostile.

script:    defines `session(receive, begin, report)`; `receive()` waits for a call's payload, `begin()` says that from
           now on SIGINT interrupts it, `report(bytes)` ends the call.
stdin:     the first job as for a single run, then for each call the byte `C` and the same again. The byte `I`
           interrupts the call that runs; between calls it means nothing.
RESULT_FD: for each call what a single run sends, with the word in the job's field `session`. `over` among the fields
           says that the interpreter has ended; then nothing follows.
stdout, stderr: at the end of each call NUL, the word and NUL, so that the host knows where its output ends.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from tools_api.sandbox.inside import supervisor
    from tools_api.sandbox.inside.supervisor import Fields
else:
    import supervisor  # which has put itself there

_SIZE = 8
_BEGUN = b"B"
_MOST = supervisor.MAX_REPORT_BYTES - _SIZE - len(_BEGUN)


def serve(fields: Fields, payload: bytes, result_fd: int) -> NoReturn:
    """Do one call after another until the interpreter ends or the host goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    workspace = os.getcwd()  # noqa: PTH109 - pathlib costs milliseconds here
    interpreter = Interpreter(dict(fields)["script"], result_fd)
    while True:
        options = dict(fields)
        # what stands still changes no file while we read or write it, and prints nothing after its mark
        supervisor.signal_everything_else(signal.SIGSTOP)
        refused = _renew_inputs(fields)
        before = {path: supervisor.stamp(status) for path, status in supervisor.regular_files([])}
        supervisor.signal_everything_else(signal.SIGCONT)
        answer, report = interpreter.do(payload)
        supervisor.signal_everything_else(signal.SIGKILL if interpreter.over else signal.SIGSTOP)
        for stream in (1, 2):
            supervisor.write_all(stream, b"\0" + options["session"].encode() + b"\0")
        answer.append(("session", options["session"]))
        supervisor.open_up(workspace)
        chosen, left_out = supervisor.changed_files(before, options)
        supervisor.send(result_fd, answer, report, (chosen, refused + left_out))
        if interpreter.over:
            os._exit(0)
        _until_called()
        fields, payload = supervisor.read_job()


def _until_called() -> None:
    """Wait for the next call; an interrupt that came too late for the last one means nothing."""
    while (byte := supervisor.read_exactly(1)) != b"C":
        if byte != b"I":
            os._exit(71)


def _renew_inputs(fields: Fields) -> list[str]:
    """Write input files in place of whatever has their names, never through it; return what could not be written."""
    refused: list[str] = []
    for name, content in supervisor.read_inputs(fields):
        opened: list[int] = []
        try:
            _replace(name, content, opened)
        except OSError as error:
            refused.append(f"not brought up to date ({error.strerror}): {name}")
        for descriptor in opened:
            os.close(descriptor)
    return refused


def _replace(name: str, content: bytes, opened: list[int]) -> None:
    """Step down folder by folder, since the code may have put links in the way. Raises `OSError`."""
    *folders, base = name.split("/")
    opened.append(os.open(".", os.O_RDONLY | os.O_DIRECTORY))
    for folder in folders:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, dir_fd=opened[-1])
        opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(base, dir_fd=opened[-1])  # of a link, the link itself; a folder stays and is refused
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    opened.append(os.open(base, flags, 0o644, dir_fd=opened[-1]))
    supervisor.write_all(opened[-1], content)


class Interpreter:
    """A fork that runs the session's script. Its children and threads live on from call to call as it does."""

    def __init__(self, script: str, result_fd: int) -> None:
        call_read, self._call_fd = os.pipe()
        self._report_fd, report_write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._call_fd)
            os.close(self._report_fd)
            _become(script, call_read, report_write, result_fd)
        supervisor.reap_orphans(self._pid)
        os.close(call_read)
        os.close(report_write)
        os.set_blocking(self._report_fd, False)
        self._exit_fd = os.pidfd_open(self._pid)
        self.over = False

    def do(self, payload: bytes) -> tuple[Fields, bytes]:
        """Hand over a call and wait for its report or for the interpreter's end, whichever comes first."""
        cpu_s = self._cpu_s()
        report = self._report_on(payload)
        answer: Fields = []
        if report is None:
            self.over = True
            answer += [("exit", str(self._end())), ("over", "1")]
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            used, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
        else:
            answer.append(("exit", "0"))
            used, peak = self._cpu_s(), self._peak_bytes()
        answer += [("cpu_s", f"{max(0.0, used - cpu_s):.4f}"), ("peak_bytes", str(peak))]
        return answer, report or b""

    def _report_on(self, payload: bytes) -> bytes | None:
        """Return the report; None if the interpreter has ended or says what it can't have to say."""
        poll = select.poll()
        for descriptor in (0, self._exit_fd, self._report_fd):
            poll.register(descriptor, select.POLLIN)
        if any(descriptor != 0 for descriptor, _ in poll.poll(0)):
            return None  # ended, or it reports before it was asked
        try:
            supervisor.write_all(self._call_fd, len(payload).to_bytes(_SIZE, "big") + payload)
        except BrokenPipeError:
            return None
        said = bytearray()
        to_interrupt = False
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            open_still = self._report_fd not in ready or supervisor.drain(self._report_fd, said)
            if 0 in ready:
                to_interrupt = supervisor.read_exactly(1) == b"I" or os._exit(71)
            if to_interrupt and bytes(said) == _BEGUN:
                os.kill(self._pid, signal.SIGINT)
                to_interrupt = False
            if (report := _report_in(said)) is not None:
                return report
            if not open_still or self._exit_fd in ready or _is_forged(said):
                return None

    def _end(self) -> int:
        os.kill(self._pid, signal.SIGKILL)  # not reaped yet, so it is there
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _cpu_s(self) -> float:
        try:
            return time.clock_gettime((~self._pid << 3) | 2)  # clock_getcpuclockid(3), which Python does not have
        except OSError:  # it has ended
            return 0.0

    def _peak_bytes(self) -> int:
        with open(f"/proc/{self._pid}/status", "rb") as status:  # noqa: PTH123 - pathlib costs milliseconds here
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0


def _report_in(said: bytearray) -> bytes | None:
    """Return the report that `said` is, if it is all there and nothing else."""
    start = len(_BEGUN) + _SIZE
    whole = len(said) >= start and len(said) == start + int.from_bytes(said[len(_BEGUN) : start], "big")
    return bytes(said[start:]) if whole and said.startswith(_BEGUN) else None


def _is_forged(said: bytearray) -> bool:
    """Say whether it can't become a report any more."""
    start = len(_BEGUN) + _SIZE
    size = int.from_bytes(said[len(_BEGUN) : start], "big") if len(said) >= start else _MOST
    return not said.startswith(_BEGUN[: len(said)]) or size > _MOST or len(said) > start + size


def _become(script: str, call_fd: int, report_fd: int, result_fd: int) -> NoReturn:
    supervisor.stand_alone(result_fd)

    def receive() -> bytes:
        size = int.from_bytes(_read_exactly(call_fd, _SIZE), "big")
        return _read_exactly(call_fd, size)

    def begin() -> None:
        supervisor.write_all(report_fd, _BEGUN)

    def report(content: bytes) -> None:
        content = content[:_MOST]
        supervisor.write_all(report_fd, len(content).to_bytes(_SIZE, "big") + content)

    supervisor.load_script(script)["session"](receive, begin, report)
    os._exit(0)


def _read_exactly(descriptor: int, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = os.read(descriptor, size - len(content))
        if not piece:
            os._exit(0)
        content += piece
    return content
