"""Is this port free, and if not, who has it? Asked before a server starts, so that the answer is one sentence."""

import errno
import socket

import psutil


class PortUnusable(Exception):
    """The address cannot be listened on; the message says why and which flag changes it."""


def check_port(host: str, port: int, *, purpose: str, flag: str) -> None:
    """Raise `PortUnusable` unless a server could listen on `host:port` now."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise PortUnusable(
            f"HOST: {host!r} is no address of this machine. Use 127.0.0.1 or 0.0.0.0 (--host)."
        ) from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger are no hindrance
        try:
            probe.bind(address)
        except OSError as error:
            raise PortUnusable(_explain(error, host, port, purpose, flag)) from None


def free_port(host: str) -> int:
    """Return a port that nobody listens on now."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(address)
        return probe.getsockname()[1]


def _explain(error: OSError, host: str, port: int, purpose: str, flag: str) -> str:
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        by = f" by {holder}" if holder else ""
        return (
            f"Port {port}, wanted for the {purpose}, is already in use{by}. "
            f"Stop that program, or choose another port with {flag}."
        )
    if error.errno == errno.EACCES:
        return f"Port {port}, wanted for the {purpose}, needs root. Choose one above 1023 with {flag}."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HOST: {host} is no address of this machine. Use 127.0.0.1, 0.0.0.0 or one that it has (--host)."
    return f"The {purpose} cannot listen on {host}:{port}: {error.strerror}. Choose another with --host or {flag}."


def _holder(port: int) -> str | None:
    """Name who listens on a port, where the system tells: other users' programs and macOS without root stay unnamed."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,)
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        return None
    return None
