"""Keeps one run: its two folders, its limits, its time. The run itself is a fork of this process.

It speaks the protocol of `inside/supervisor.py` and shares its code for it. Unlike there, what the run has written is
read here on the host, by a user without rights and only once the run is dead: no link is followed, nothing changes.
"""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import supervisor
from instance import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from instance import Python

_LOOK_EVERY_S = 0.025
_PARENT_EVERY_S = 0.5


@dataclass
class Ending:
    """How a run has ended, and what it has said about itself."""

    reason: str | None = None
    report: bytearray = field(default_factory=bytearray)


def keep(python: Python, limits: Mapping[str, float], pipes: tuple[int, ...], folder: str) -> NoReturn:
    """Do one job in `folder` and end. `pipes`: stdin, stdout, stderr, the result's, and one that ends with the host."""
    status = 1
    try:
        _do(python, limits, pipes, folder)
        status = 0
    except OSError:
        status = 71  # the host has gone, or there is no room for the folders; it sees that no answer came
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(status)


def _do(python: Python, limits: Mapping[str, float], pipes: tuple[int, ...], folder: str) -> None:
    for target, source in enumerate(pipes[:3]):
        os.dup2(source, target)
        os.close(source)
    result, life = pipes[3:]
    given = [str(Path(folder, name)) for name in ("workspace", "scratch")]
    for path in given:
        Path(path).mkdir(mode=0o700)
    os.chdir(given[0])
    os.write(result, os.getpid().to_bytes(8, "big") + b"H")
    fields, payload = supervisor.read_job()
    options = dict(fields)
    before = supervisor.write_inputs(fields)
    started = time.monotonic()
    report_read, report_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        for descriptor in (report_read, result, life):
            os.close(descriptor)
        _limit(limits)
        report = Run(given[0], given[1], int(limits["memory_bytes"]), lambda said: _write(report_write, said))
        python.run(payload, report)
    os.close(report_write)
    ending = _wait(pid, report_read, life, limits, started + float(options["wall_s"]))
    _, code, usage = os.wait4(pid, 0)
    if ending.reason == "abandoned":
        return
    answer = [("exit", str(os.waitstatus_to_exitcode(code)))]
    answer += [(ending.reason, "1")] if ending.reason else []
    answer.append(("cpu_s", f"{usage.ru_utime + usage.ru_stime:.4f}"))
    answer.append(("peak_bytes", str(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))))
    supervisor.send(result, answer, bytes(ending.report), supervisor.changed_files(before, options))


def _limit(limits: Mapping[str, float]) -> None:
    """Set the limits of the process that runs: they end it, whatever the instance does."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    cpu = max(1, round(limits["cpu_s"] + 0.499))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    for name, most in ((resource.RLIMIT_FSIZE, limits["file_bytes"]), (resource.RLIMIT_NOFILE, limits["open_files"])):
        resource.setrlimit(name, (int(most), int(most)))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that is too large is an error that the code can read
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_EVERY_S)
    os._exit(70)


def _write(descriptor: int, content: bytes) -> None:
    if content:
        supervisor.write_all(descriptor, content)


def _wait(pid: int, report: int, life: int, limits: Mapping[str, float], deadline: float) -> Ending:
    """Take the report until the run closes it by ending; kill it at its limits, or when the host lets go."""
    ending = Ending()
    poll = select.poll()
    poll.register(report, select.POLLIN)
    poll.register(life, select.POLLIN)
    look = time.monotonic() + _LOOK_EVERY_S
    while ending.reason is None:
        now = time.monotonic()
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, min(deadline, look) - now) * 1000)}
        if life in ready:
            ending.reason = "abandoned"
        elif report in ready and not _take(report, ending.report):
            return ending
        elif time.monotonic() >= deadline:
            ending.reason = "timeout"
        elif time.monotonic() >= look:
            ending.reason = "full" if _is_over(limits) else None
            look = time.monotonic() + _LOOK_EVERY_S
    os.kill(pid, signal.SIGKILL)
    return ending


def _take(descriptor: int, into: bytearray) -> bool:
    """Read what is there; False at the end of the stream."""
    piece = os.read(descriptor, 1 << 16)
    into += piece[: supervisor.MAX_REPORT_BYTES - len(into)]
    return bool(piece)


def _is_over(limits: Mapping[str, float]) -> bool:
    """Say whether the run has written more than its folders may hold."""
    size = 0
    for count, status in enumerate(_statuses(".", "../scratch"), start=1):
        size += status.st_blocks * 512
        if count > limits["inodes"] or size > limits["workspace_bytes"] + limits["scratch_bytes"]:
            return True
    return False


def _statuses(*folders: str) -> Iterator[os.stat_result]:
    waiting = list(folders)
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue  # it has gone meanwhile
