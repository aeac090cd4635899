"""The process that runs at the level `wasi` come from: it loads the interpreter once, gives up its rights, and forks.

It reads no byte of a run and shares no memory with one but what the fork copies. A script, started by `host.py` as
`python -I server.py ARTEFACT FOLDER CONTROL_FD UID PACKAGES`. It says `ready`, or why not, and takes runs from the
control socket, each as its limits in JSON with five descriptors (see `keeper.py`). It ends with its stdin.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "inside")]
sys.path += sys.argv[5:6]

import keeper  # noqa: E402 - its folder was named just now
from instance import Python  # noqa: E402

_DESCRIPTORS = 5
_PR_SET_NO_NEW_PRIVS = 38


def main() -> None:
    """Serve runs until the host goes."""
    artefact, folder, control_fd, uid = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    python = Python(artefact)
    _give_up_rights(uid)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the service's to handle
    os.write(1, b"ready\n")
    _be_silent()
    _serve(python, socket.socket(fileno=control_fd), folder)
    shutil.rmtree(folder, ignore_errors=True)


def _give_up_rights(uid: int) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if 0 in {os.getuid(), os.geteuid()}:
        raise SystemExit("it still runs as root")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)


def _be_silent() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)


def _serve(python: Python, control: socket.socket, folder: str) -> None:
    number = 0
    keepers: dict[int, str] = {}
    while True:
        ready, _, _ = select.select([0, control], [], [], 1.0 if keepers else None)
        _reap(keepers)
        if 0 in ready:
            return
        if control not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 16, _DESCRIPTORS)
        number += 1
        own = f"{folder}/{number}"
        if len(descriptors) == _DESCRIPTORS:
            Path(own).mkdir()
            pid = os.fork()
            if pid == 0:
                control.close()
                keeper.keep(python, json.loads(message), tuple(descriptors), own)
            keepers[pid] = own
        for descriptor in descriptors:
            os.close(descriptor)


def _reap(keepers: dict[int, str]) -> None:
    """Bury keepers that have ended, and remove what one that was killed could not."""
    while keepers:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        shutil.rmtree(keepers.pop(pid), ignore_errors=True)


if __name__ == "__main__":
    main()
