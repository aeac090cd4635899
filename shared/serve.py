"""Serve an application: bind first, so that a taken port is one clear sentence, then run uvicorn until a signal comes.

On SIGTERM or Ctrl-C the socket closes at once, what is under way gets `grace_s` seconds to finish, and what is left is
cancelled, which ends open streams with an error event.
"""

import contextlib
import errno
import gc
import resource
import socket

import uvicorn
from starlette.types import ASGIApp

_OPEN_FILES = 65_536
"""As many descriptors as a process of ours may have: more than it uses, and few enough for children that try each."""


class CannotListen(Exception):
    """The address cannot be listened on; the message says why and what to do."""


def bind(host: str, port: int, *, variable: str) -> socket.socket:
    """Return a listening socket; `variable` is the setting to change when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CannotListen(_reason(error, host, port, variable)) from None
    listener.setblocking(False)
    return listener


def _reason(error: OSError, host: str, port: int, variable: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program. Stop it, or choose another port with {variable}."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has. Choose a port above 1023 with {variable}."
    return f"Cannot listen on {host}:{port} ({error.strerror}). Check HOST and {variable}."


def allow_open_files() -> None:
    """Let this process open as many files as it may, up to 65,536: systems begin with 1,024 for the sake of select."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(OSError, ValueError):  # then it stays as it was
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class _Server(uvicorn.Server):
    """Takes what imports and start made out of the garbage collector's sight: it stays, and looking through it again
    and again was a fifth of a request's cost. What requests make is little, so it is looked at less often too."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 20, 50)


def serve(app: ASGIApp, listener: socket.socket, *, grace_s: float) -> None:
    """Run `app` on `listener` until SIGTERM or Ctrl-C."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
    server = _Server(config)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again once it has shut down
        server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(3)  # the lifespan failed, and the log says how; uvicorn itself would end with 0
