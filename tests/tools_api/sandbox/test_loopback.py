"""Runs that may open TCP sockets, and the one descriptor that a run may be given: no way out leads through either."""

import asyncio
import socket
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools_api.sandbox.conftest import LIMITS, Attacker
from tools_api.sandbox import Job, Outcome, ReadOnlyTree
from tools_api.sandbox.selftest import run_self_test

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
    pytest.mark.asyncio(loop_scope="session"),
]

_ATTACK = ReadOnlyTree(Path(__file__).with_name("attack_inside.py"), "/opt/attack.py")


async def _attempt(attacker: Attacker, code: str, *, channel: socket.socket | None = None) -> str:
    job = Job(
        script=_ATTACK.target, payload=code.encode(), trees=(_ATTACK,), limits=LIMITS, loopback=True, channel=channel
    )
    outcome = await attacker.sandbox.run(job)
    assert outcome.report, outcome
    return outcome.report.decode()


async def test_a_run_reaches_itself_over_tcp(attacker: Attacker) -> None:
    code = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
client.sendall(b"hello")
said = server.accept()[0].recv(5).decode()
"""
    assert await _attempt(attacker, code) == "hello"


async def test_without_being_asked_for_there_is_no_tcp(attacker: Attacker) -> None:
    said = await attacker.attempt("import socket; socket.socket(socket.AF_INET)")
    assert said.startswith("refused PermissionError")


async def test_the_hosts_loopback_is_another_one(attacker: Attacker) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as host,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        for address in (host.getsockname(), six.getsockname()):
            said = await _attempt(attacker, f"import socket; socket.create_connection({address[:2]!r}, 2); said = 'in'")
            assert said.startswith("refused ConnectionRefusedError"), said


@pytest.mark.parametrize("address", ["203.0.113.1", "10.0.0.1", "169.254.169.254", "2001:db8::1"])
async def test_no_address_but_its_own_can_be_reached(attacker: Attacker, address: str) -> None:
    said = await _attempt(attacker, f"import socket; socket.create_connection(({address!r}, 80), 2); said = 'out'")
    assert said.startswith("refused OSError [Errno 101]"), said  # the network is unreachable


@pytest.mark.parametrize(
    "kind",
    [
        "AF_INET, socket.SOCK_DGRAM",
        "AF_INET6, socket.SOCK_DGRAM",
        "AF_INET, socket.SOCK_RAW, 1",
        "AF_INET, socket.SOCK_STREAM, 262",
        "AF_NETLINK, socket.SOCK_RAW",
        "AF_PACKET, socket.SOCK_RAW",
        "AF_VSOCK, socket.SOCK_STREAM",
    ],
)
async def test_no_other_kind_of_socket_is_allowed(attacker: Attacker, kind: str) -> None:
    said = await _attempt(attacker, f"import socket; socket.socket(socket.{kind})")
    assert said.startswith("refused PermissionError"), said


async def test_the_self_test_holds_with_tcp_too(attacker: Attacker) -> None:
    async def run(job: Job) -> Outcome:
        return await attacker.sandbox.run(replace(job, loopback=True))

    assert all((await run_self_test(run)).values())


@pytest.fixture
def pair() -> Generator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def test_a_channel_leads_to_its_other_end(attacker: Attacker, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(ours, b"ping")
    code = """
import socket
channel = socket.socket(fileno=int(os.environ["SANDBOX_CHANNEL"]))
said = channel.recv(4).decode()
channel.sendall(b"pong")
"""
    assert await _attempt(attacker, code, channel=theirs) == "ping"
    assert await loop.sock_recv(ours, 4) == b"pong"


async def test_a_channel_is_the_only_descriptor_of_ours(
    attacker: Attacker, pair: tuple[socket.socket, socket.socket]
) -> None:
    code = """
open_ones = {int(name) for name in os.listdir("/proc/self/fd")}
targets = {}
for number in open_ones - {0, 1, 2, int(os.environ["SANDBOX_CHANNEL"])}:
    try:
        targets[number] = os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        pass  # the folder that was being listed
said = [target for target in targets.values() if not target.startswith("pipe:")]
"""
    assert await _attempt(attacker, code, channel=pair[1]) == "[]"


async def test_address_space_is_bounded_unless_a_program_needs_it(attacker: Attacker) -> None:
    code = "import resource; said = resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY"
    job = Job(script=_ATTACK.target, payload=code.encode(), trees=(_ATTACK,), limits=LIMITS)
    bounded = await attacker.sandbox.run(job)
    unbounded = await attacker.sandbox.run(replace(job, bounded_address_space=False))
    assert (bounded.report, unbounded.report) == (b"False", b"True")
