"""Nothing is reachable: no loopback, no address, no socket of the host, no unusual socket family."""

import socket
from pathlib import Path

import pytest

from tests.tools_api.battery.planted import Planted, Unprotected
from tests.tools_api.battery.server import MARKS, Server

pytestmark = MARKS

NO_SOCKET = "PermissionError: [Errno 1] Operation not permitted"


async def test_the_service_itself_is_unreachable_over_http(server: Server, unprotected: Unprotected) -> None:
    attack = f"import urllib.request; print(urllib.request.urlopen('{server.url}/health', timeout=60).status)"
    assert await unprotected(attack) == "200\n"
    assert await server.refusal(attack) == f"urllib.error.URLError: <urlopen error {NO_SOCKET.partition(': ')[2]}>"


async def test_loopback_tcp_is_unreachable(server: Server, unprotected: Unprotected) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        attack = f"import socket; socket.create_connection(('127.0.0.1', {port}), 60); print('connected')"
        assert await unprotected(attack) == "connected\n"
        listener.accept()[0].close()
        assert await server.refusal(attack) == NO_SOCKET
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_an_outside_address_is_unreachable_over_tcp(server: Server) -> None:
    attack = "import socket; socket.create_connection(('203.0.113.1', 80), 5)"
    assert await server.refusal(attack) == NO_SOCKET


async def test_loopback_udp_is_unreachable(server: Server, unprotected: Unprotected) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        attack = f"import socket; socket.socket(2, 2).sendto(b'x', {listener.getsockname()!r}); print('sent')"
        assert await unprotected(attack) == "sent\n"
        assert listener.recv(1) == b"x"
        assert await server.refusal(attack) == NO_SOCKET
        with pytest.raises(BlockingIOError):
            listener.recv(1)


async def test_an_outside_address_is_unreachable_over_udp(server: Server) -> None:
    attack = "import socket; socket.socket(2, 2).sendto(b'x', ('203.0.113.1', 53))"
    assert await server.refusal(attack) == NO_SOCKET


async def test_names_are_not_resolved(server: Server) -> None:
    attack = "import socket; socket.getaddrinfo('name.example', 80)"
    assert (await server.refusal(attack)).startswith("socket.gaierror: [Errno -")


async def test_an_abstract_socket_of_the_host_is_unreachable(server: Server, unprotected: Unprotected) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # the kernel names it, in the abstract namespace
        listener.listen()
        attack = f"import socket; socket.socket(socket.AF_UNIX).connect({listener.getsockname()!r}); print('connected')"
        assert await unprotected(attack) == "connected\n"
        assert await server.refusal(attack) == "ConnectionRefusedError: [Errno 111] Connection refused"


async def test_a_path_socket_of_the_host_is_unreachable(
    server: Server, planted: Planted, unprotected: Unprotected
) -> None:
    path = planted.folder / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        Path(path).chmod(0o777)
        listener.listen()
        attack = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r}); print('connected')"
        assert await unprotected(attack) == "connected\n"
        assert await server.refusal(attack) == "FileNotFoundError: [Errno 2] No such file or directory"


@pytest.mark.parametrize(
    ("family", "kind"),
    [(2, 1), (10, 1), (16, 3), (17, 3), (38, 5), (40, 1)],
    ids=["inet", "inet6", "netlink", "packet", "alg", "vsock"],
)
async def test_no_socket_family_but_unix_can_be_opened(server: Server, family: int, kind: int) -> None:
    assert await server.refusal(f"import socket; socket.socket({family}, {kind})") == NO_SOCKET


async def test_local_sockets_between_its_own_processes_work(server: Server) -> None:
    code = "import socket; a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))"
    assert await server.said(code) == "b'x'"


async def test_a_refused_connection_is_on_the_receipt(server: Server) -> None:
    attempt = await server.run("import socket; socket.create_connection(('203.0.113.1', 80), 5)")
    assert attempt.receipt["denied"] == ["network"]
