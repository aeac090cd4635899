"""Nothing is reachable: no loopback, no address, no socket of the host, no unusual socket family."""

import socket
from pathlib import Path

import pytest

from tests.tools_api.sandbox.conftest import Attacker

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


async def test_loopback_tcp_is_unreachable(attacker: Attacker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        port = server.getsockname()[1]
        said = await attacker.attempt(f"import socket; socket.create_connection(('127.0.0.1', {port}), 1)")
        assert said.startswith("refused PermissionError")
        with pytest.raises(TimeoutError):
            server.accept()


async def test_udp_cannot_be_sent(attacker: Attacker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.05)
        said = await attacker.attempt(
            f"import socket; socket.socket(2, socket.SOCK_DGRAM).sendto(b'x', {server.getsockname()!r})"
        )
        assert said.startswith("refused PermissionError")
        with pytest.raises(TimeoutError):
            server.recv(1)


async def test_names_are_not_resolved(attacker: Attacker) -> None:
    said = await attacker.attempt("import socket; said = socket.getaddrinfo('localhost.localdomain.example', 80)")
    assert said.startswith("refused gaierror")


async def test_an_abstract_socket_of_the_host_is_unreachable(attacker: Attacker) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("")  # the kernel names it, in the abstract namespace
        server.listen()
        name = server.getsockname()
        said = await attacker.attempt(f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})")
        assert said.startswith("refused ConnectionRefusedError")


async def test_a_path_socket_of_the_host_is_unreachable(attacker: Attacker, open_folder: Path) -> None:
    path = open_folder / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o777)
        server.listen()
        said = await attacker.attempt(f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})")
        assert said.startswith("refused FileNotFoundError")


@pytest.mark.parametrize(
    ("family", "kind"),
    [(2, 1), (10, 1), (16, 3), (17, 3), (38, 5), (40, 1)],
    ids=["inet", "inet6", "netlink", "packet", "alg", "vsock"],
)
async def test_no_socket_family_but_unix_exists(attacker: Attacker, family: int, kind: int) -> None:
    said = await attacker.attempt(f"import socket; socket.socket({family}, {kind})")
    assert said.startswith("refused PermissionError"), said


async def test_local_sockets_between_its_own_processes_work(attacker: Attacker) -> None:
    said = await attacker.attempt("import socket; a, b = socket.socketpair(); a.send(b'x'); said = b.recv(1)")
    assert said == "b'x'"
