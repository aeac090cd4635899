"""The self-test's half inside an instance: tries what must fail and reports what happened.

Payload: `isolation NUL secret path NUL loopback port`, `memory NUL bytes`, or `loop`.
"""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path


def main(payload: bytes, report: Callable[[bytes], None]) -> None:
    """Do what the payload asks for."""
    mode, *arguments = payload.decode().split("\0")
    if mode == "loop":
        while True:
            pass
    if mode == "memory":
        seen = {"memory_limited": _attempt(lambda: bytearray(int(arguments[0])))}
    else:
        seen = _isolation(*arguments)
    report("\0".join(part for pair in seen.items() for part in pair).encode())


def _isolation(secret: str, port: str) -> dict[str, str]:
    return {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "secret_unreadable": _attempt(lambda: Path(secret).read_bytes()),
        "secret_unreadable_by_a_relative_path": _attempt(lambda: Path("../" * 16 + secret.lstrip("/")).read_bytes()),
        "links_stay_inside": _attempt(lambda: _read_through_a_link(secret)),
        "nothing_else_writable": _attempt(lambda: Path(f"{secret}.written").write_text("")),
        "loopback_refused": _attempt(lambda: socket.create_connection(("127.0.0.1", int(port)), timeout=1)),
        "listening_refused": _attempt(lambda: socket.create_server(("127.0.0.1", 0))),
        "no_programs": _attempt(lambda: os.posix_spawn("/bin/sh", ["sh"], {})),
        "no_environment": "refused" if "PLANTED" not in os.environ else "succeeded",
    }


def _read_through_a_link(secret: str) -> None:
    link = Path("link")
    link.symlink_to("../" * 16 + secret.lstrip("/"))
    link.read_bytes()


def _attempt(what: Callable[[], object]) -> str:
    try:
        what()
    except (OSError, MemoryError, AttributeError):  # what WASI does not have is not even there
        return "refused"
    return "succeeded"
