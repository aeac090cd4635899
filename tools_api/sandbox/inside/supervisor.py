"""The first program of a sandbox: takes a job from stdin, runs it as a child, and hands back what it left.

It is a script, never imported by the service, and runs where nothing is trusted: the host takes all that it says as
hostile bytes. Its restrictions are in force before it reads the first byte of a job. It imports only modules that
are built into the interpreter or cheap, because every import is paid by every run. It knows nothing of what it runs.

Usage: `python -I -S supervisor.py RESULT_FD LIMITS`, LIMITS as `cpu=5,as=…` for `resource.RLIMIT_*`.
stdin:     frame of fields (see `encode`), then the payload, then the contents of the input files. A job that names a
           `session` is its first call; `session.py` beside this file does the rest.
RESULT_FD: the byte `H` when the restrictions hold, then a frame of fields, then the report, then the output files.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType
    from typing import Any, NoReturn

Fields = list[tuple[str, str]]
Stamp = tuple[int, int, int]  # inode, size, time of the last change

MAX_ENTRIES = 20_000
MAX_DEPTH = 8
MAX_REPORT_BYTES = 1 << 20
_PIECE = 1 << 16

compiled: dict[str, CodeType] = {}
"""Scripts that need not be compiled any more, by path."""


def main() -> None:
    """Set the limits, do one job and exit."""
    result_fd = int(sys.argv[1])
    _close_all_but(result_fd, int(os.environ.get("SANDBOX_CHANNEL", result_fd)))
    restrict(sys.argv[2])
    serve(result_fd)


def serve(result_fd: int) -> NoReturn:
    """Say that the restrictions hold, do one job and exit."""
    os.write(result_fd, b"H")
    do_job(result_fd)


def do_job(result_fd: int) -> NoReturn:
    """Read one job, do it and exit."""
    fields, payload = read_job()
    options = dict(fields)
    if "session" in options:
        _serve_session(fields, payload, result_fd)
    workspace = os.getcwd()  # noqa: PTH109 - pathlib costs milliseconds here
    before = write_inputs(fields)
    started = time.monotonic()
    job = _start(fields, options, payload, result_fd)
    answer, report = _wait(*job, deadline=started + float(options["wall_s"]))
    signal_everything_else(signal.SIGKILL)
    open_up(workspace)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer.append(("cpu_s", f"{usage.ru_utime + usage.ru_stime:.4f}"))
    answer.append(("peak_bytes", str(usage.ru_maxrss * 1024)))
    send(result_fd, answer, report, changed_files(before, options))
    os.closerange(0, result_fd + 1)  # the host need not wait until all memory has been given back
    os._exit(0)


def restrict(limits: str) -> None:
    """Set the limits of each process, for ourselves and all that come from us."""
    for item in limits.split(","):
        name, _, value = item.partition("=")
        soft = int(value)
        hard = soft + 1 if name == "cpu" else soft  # the soft one says SIGXCPU, which names the limit
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (soft, hard))


def encode(fields: Fields) -> bytes:
    """Encode pairs as NUL-separated UTF-8 behind their length; values hold no NUL."""
    body = b"\0".join(part.encode("utf-8", "surrogateescape") for pair in fields for part in pair)
    return len(body).to_bytes(8, "big") + body


def decode(body: bytes) -> Fields:
    """Undo `encode`, without the length."""
    parts = body.decode("utf-8", "surrogateescape").split("\0")
    return list(zip(parts[::2], parts[1::2], strict=True))


def _close_all_but(*kept: int) -> None:
    """Close what the service passed on by mistake: event loops do not all close what is inheritable."""
    start = 3
    for descriptor in (*sorted(kept), 1 << 20):
        os.closerange(start, descriptor)
        start = descriptor + 1


def read_job() -> tuple[Fields, bytes]:
    """Read a job but for its input files; return its fields and its payload."""
    fields = decode(read_exactly(int.from_bytes(read_exactly(8), "big")))
    return fields, read_exactly(int(dict(fields)["payload"]))


def read_inputs(fields: Fields) -> Iterator[tuple[str, bytes]]:
    """Read the input files that follow a job, by name."""
    for key, value in fields:
        if key == "file":
            size, _, name = value.partition(":")
            yield name, read_exactly(int(size))


def read_exactly(size: int) -> bytes:
    """Read so many bytes of stdin."""
    pieces: list[bytes] = []
    while size > 0:
        piece = os.read(0, min(size, 1 << 20))
        if not piece:
            os._exit(70)  # the host went away
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _serve_session(fields: Fields, payload: bytes, result_fd: int) -> NoReturn:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs milliseconds here
    sys.modules["supervisor"] = sys.modules[__name__]
    sys.path.insert(0, here)
    import session

    sys.path.remove(here)
    session.serve(fields, payload, result_fd)


def write_inputs(fields: Fields) -> dict[str, Stamp]:
    """Read the input files and put them into the current folder; return how they are before the job."""
    before: dict[str, Stamp] = {}
    for name, content in read_inputs(fields):
        if "/" in name:
            os.makedirs(name.rpartition("/")[0], exist_ok=True)  # noqa: PTH103
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        write_all(descriptor, content)
        os.close(descriptor)
        before[name] = stamp(os.lstat(name))
    return before


def _start(fields: Fields, options: dict[str, str], payload: bytes, result_fd: int) -> tuple[int, int]:
    """Fork the job; return its pid and the descriptor on which its report comes."""
    report_read, report_write = os.pipe()
    pid = os.fork()
    if pid:
        reap_orphans(pid)
        os.close(report_write)
        return pid, report_read
    os.close(report_read)
    stand_alone(result_fd)
    if "script" in options:
        _become_script(options["script"], payload, lambda report: write_all(report_write, report))
    os.close(report_write)
    argv = [value for key, value in fields if key == "arg"]
    try:
        os.execv(argv[0], argv)  # noqa: S606 - a program inside the sandbox
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(127)


def stand_alone(result_fd: int) -> None:
    """Keep a fork that will run code from the supervisor's own: its answers, its input, its process group."""
    os.close(result_fd)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # `killpg(0, …)` in the job must not reach the supervisor
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)


def reap_orphans(pid: int) -> None:
    """Reap whoever ends and is not `pid`: where we are the first process, all orphans come to us, and until they are
    reaped they count as processes of the run."""

    def reap(*_signal: object) -> None:
        try:
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != pid:
                os.waitpid(ended.si_pid, 0)
        except ChildProcessError:
            return

    signal.signal(signal.SIGCHLD, reap)


def _become_script(path: str, payload: bytes, report: Callable[[bytes], None]) -> None:
    load_script(path)["main"](payload, report)
    os._exit(0)


def compile_script(path: str) -> CodeType:
    """Compile a script; a zygote does it once for all of its forks."""
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs milliseconds here
        return compile(file.read(), path, "exec")


def load_script(path: str) -> dict[str, Any]:
    """Run a tool's own script, which defines `main` and may define `session`; return its names."""
    for name in ("session", "supervisor"):
        sys.modules.pop(name, None)  # the code may have modules of these names
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": path}
    code = compiled.get(path) or compile_script(path)
    exec(code, namespace)  # noqa: S102 - the tool's own script
    return namespace


def _wait(pid: int, report_fd: int, *, deadline: float) -> tuple[Fields, bytes]:
    """Wait for the job to end or for its time to be over, taking its report meanwhile."""
    os.set_blocking(report_fd, False)
    exit_fd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(exit_fd, select.POLLIN)
    poll.register(report_fd, select.POLLIN)
    report = bytearray()
    answer: Fields = []
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            os.kill(pid, signal.SIGKILL)
            answer.append(("timeout", "1"))
            break
        ready = {descriptor for descriptor, _ in poll.poll(left * 1000)}
        if report_fd in ready and not drain(report_fd, report):
            poll.unregister(report_fd)
        if exit_fd in ready:
            break
    drain(report_fd, report)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    answer.append(("exit", str(code)))
    return answer, bytes(report[:MAX_REPORT_BYTES])


def drain(descriptor: int, into: bytearray) -> bool:
    """Read what is there; False at the end of the stream."""
    try:
        while piece := os.read(descriptor, _PIECE):
            if len(into) < MAX_REPORT_BYTES:
                into += piece
    except BlockingIOError:
        return True
    return False


def signal_everything_else(number: int) -> None:
    """Send a signal to all of this pid namespace but its init and ourselves."""
    try:
        os.kill(-1, number)
    except ProcessLookupError:
        return


def changed_files(before: dict[str, Stamp], options: dict[str, str]) -> tuple[list[tuple[str, int]], list[str]]:
    """List the files that are new or differ, and what was left out and why."""
    chosen: list[tuple[str, int]] = []
    refused: list[str] = []
    bytes_left = int(options["max_file_bytes"])
    for path, status in regular_files(refused):
        if before.get(path) == stamp(status):
            continue
        if len(chosen) >= int(options["max_files"]):
            refused.append("too many files")
            break
        if status.st_size > bytes_left:
            refused.append(f"too large: {path}")
            continue
        try:
            os.close(_open_file(path))
        except OSError as error:
            refused.append(f"unreadable ({error.strerror}): {path}")
            continue
        bytes_left -= status.st_size
        chosen.append((path, status.st_size))
    return chosen, refused[:50]


def open_up(workspace: str) -> None:
    """Let ourselves into a folder that the code may have closed to itself, and so to us."""
    try:
        os.chmod(workspace, 0o700)  # noqa: PTH101
    except OSError:
        return  # then it is told as unreadable


def _open_file(path: str) -> int:
    """Open a file that the code left, without following a link; one that it has closed to itself is opened up."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, flags)
    except PermissionError:
        os.chmod(path, 0o600)  # noqa: PTH101 - it belongs to the code's user, which is ours
        return os.open(path, flags)


def _list_folder(folder: str) -> list[os.DirEntry[str]]:
    """List a folder in the order of the names; one that the code has closed to itself is opened up."""
    path = folder or "."
    if os.stat(path).st_mode & 0o700 != 0o700:  # noqa: PTH116
        os.chmod(path, 0o700)  # noqa: PTH101 - its owner is the code's user, which is ours
    return sorted(os.scandir(path), key=lambda entry: entry.name)


def regular_files(refused: list[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Walk the workspace breadth first without following a link or opening a thing that is not a file."""
    folders = [("", 0)]
    entries = 0
    for folder, depth in folders:
        try:
            listed = _list_folder(folder)
        except OSError as error:
            refused.append(f"unreadable ({error.strerror}): {folder}")
            continue
        for entry in listed:
            entries += 1
            if entries > MAX_ENTRIES:
                refused.append("too many files")
                return
            path = f"{folder}{entry.name}"
            if entry.is_symlink() or not (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)):
                refused.append(f"not a plain file: {path}")
            elif entry.is_file(follow_symlinks=False):
                yield path, entry.stat(follow_symlinks=False)
            elif depth < MAX_DEPTH and entry.name != "__pycache__":
                folders.append((f"{path}/", depth + 1))


def stamp(status: os.stat_result) -> Stamp:
    """Say by what a change of a file is noticed."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def send(result_fd: int, answer: Fields, report: bytes, files: tuple[list[tuple[str, int]], list[str]]) -> None:
    """Send an answer, its report and the contents of the files that it names."""
    chosen, refused = files
    space = os.statvfs(".")
    if space.f_bavail == 0:
        answer.append(("full", "1"))
    answer.append(("report", str(len(report))))
    answer += [("refused", reason) for reason in refused]
    answer += [("file", f"{size}:{path}") for path, size in chosen]
    write_all(result_fd, encode(answer) + report)
    for path, size in chosen:
        descriptor = _open_file(path)
        content = os.read(descriptor, size)
        while len(content) < size and (piece := os.read(descriptor, size - len(content))):
            content += piece
        os.close(descriptor)
        write_all(result_fd, content.ljust(size, b"\0"))


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main()
