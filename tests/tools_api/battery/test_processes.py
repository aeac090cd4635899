"""What sandboxed code can't see of, or do to, other processes: the host's, the service's, another caller's."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.tools_api.accounts import REPOSITORY
from tests.tools_api.battery.planted import Unprotected
from tests.tools_api.battery.server import MARKS, OTHER_KEY, SLEEP, Server
from tests.tools_api.marked import new_marker, until_alive, until_gone

pytestmark = MARKS

SYSTEM_CALL = Path(__file__).with_name("system_call.py").read_text()
BIND = """
import socket
bound = socket.socket(socket.AF_UNIX)
bound.bind('\\0' + {name!r})
bound.listen()
bound.set_inheritable(True)
"""


async def test_host_processes_are_invisible(
    server: Server, unprotected: Unprotected, victim: subprocess.Popen[bytes]
) -> None:
    attack = f"import os; print('{victim.pid}' in os.listdir('/proc'))"
    assert await unprotected(attack) == "True\n"
    assert await server.said("import os; print(sum(name.isdigit() for name in os.listdir('/proc')))") == "2"


async def test_process_one_is_not_the_hosts(server: Server, unprotected: Unprotected) -> None:
    attack = "print(open('/proc/1/cmdline').read())"
    assert (await server.said(attack)) != (await unprotected(attack)).strip()
    assert "zygote.py" in await server.said(attack)


async def test_the_command_line_of_process_one_tells_nothing_of_the_host(server: Server) -> None:
    line = await server.said("print(open('/proc/1/cmdline').read().split('\\0'))")
    assert "zygote.py" in line
    assert "--ro-bind" not in line
    assert all(path not in line for path in (str(REPOSITORY), sys.base_prefix, str(server.folder)))


async def test_a_host_process_cannot_be_signalled(
    server: Server, unprotected: Unprotected, victim: subprocess.Popen[bytes]
) -> None:
    assert await unprotected(f"import os; os.kill({victim.pid}, 0); print('reached')") == "reached\n"
    assert (
        await server.refusal(f"import os; os.kill({victim.pid}, 9)") == "ProcessLookupError: [Errno 3] No such process"
    )
    assert victim.poll() is None


@pytest.mark.parametrize("name", ["ptrace", "process_vm_readv"])
async def test_the_memory_of_a_host_process_cannot_be_read(
    server: Server, victim: subprocess.Popen[bytes], name: str
) -> None:
    arguments = (16, victim.pid) if name == "ptrace" else (victim.pid, 0)  # 16: PTRACE_ATTACH
    refusal = await server.refusal(f"{SYSTEM_CALL}\nsyscall({name!r}, *{arguments!r}, 0, 0, 0)")
    assert refusal == f"PermissionError: [Errno 1] Operation not permitted by {name}"


async def test_the_root_of_a_host_process_cannot_be_entered(
    server: Server, unprotected: Unprotected, victim: subprocess.Popen[bytes]
) -> None:
    attack = f"import os; print('usr' in os.listdir('/proc/{victim.pid}/root'))"
    assert await unprotected(attack) == "True\n"
    assert (await server.refusal(attack)).startswith("FileNotFoundError: [Errno 2]")


async def test_the_kernel_runs_it_under_a_uid_that_is_not_roots(server: Server) -> None:
    """From outside: what the host says about the process that the code became."""
    async with server.held() as pid:
        uids = psutil.Process(pid).uids()
    assert 0 not in uids


async def test_killing_everything_it_can_reach_ends_only_its_own_run(server: Server) -> None:
    """That is its own children; what it has no name for, and the first process of its namespace, stay."""
    attack = (
        "import os, time\nos.fork() or time.sleep(60)\nos.kill(-1, 9)\nprint(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    async with server.held(key=OTHER_KEY) as other:
        attempt = await server.run(attack)
        assert psutil.pid_exists(other)
    assert (attempt.stdout, attempt.error) == ("-9", None)


async def test_another_callers_run_is_invisible(server: Server) -> None:
    async with server.held(key=OTHER_KEY, workspace="shared-name"):
        code = "import os; print([open(f'/proc/{n}/comm').read() for n in os.listdir('/proc') if n.isdigit()])"
        assert "sleep" not in await server.said(code, workspace="shared-name")


@pytest.mark.parametrize("path", ["file", "/tmp/file", "/dev/shm/file"])
async def test_another_callers_files_are_invisible(server: Server, path: str) -> None:
    async with server.held(f"open({path!r}, 'w').write('x')", key=OTHER_KEY, workspace="shared-name"):
        refusal = await server.refusal(f"open({path!r})", workspace="shared-name")
    assert refusal == f"FileNotFoundError: [Errno 2] No such file or directory: {path!r}"


async def test_another_callers_abstract_socket_is_unreachable(server: Server) -> None:
    name = new_marker()
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0' + {name!r}); print('connected')"
    assert await server.said(f"{BIND.format(name=name)}\n{connect}") == "connected"
    async with server.held(BIND.format(name=name), key=OTHER_KEY):
        assert await server.refusal(connect) == "ConnectionRefusedError: [Errno 111] Connection refused"


@pytest.mark.parametrize("forks", [1, 2], ids=["own-session", "double-fork"])
async def test_a_daemon_does_not_outlive_its_run(server: Server, forks: int) -> None:
    marker = new_marker()
    attack = f"""
import os
read, write = os.pipe()  # closes when the daemon has become `sleep`
if os.fork() == 0:
    os.setsid()
    for _ in range({forks - 1}):
        if os.fork():
            os._exit(0)
    os.close(1); os.close(2)
    os.execv('/bin/sleep', ['sleep', '60', '{marker}'])
os.close(write)
os.read(read, 1)
print('started' if any(b'{marker}' in open(f'/proc/{{n}}/cmdline', 'rb').read() for n in os.listdir('/proc')
    if n.isdigit()) else 'failed')
"""
    assert await server.said(attack) == "started"
    await until_gone(marker)


async def test_a_caller_that_departs_takes_its_run_along(server: Server) -> None:
    marker = new_marker()
    run = asyncio.create_task(server.run(SLEEP.format(marker=marker)))
    await until_alive(marker)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    await until_gone(marker)


async def test_a_long_run_outlives_the_short_ones_beside_it(server: Server) -> None:
    async with server.held() as pid:
        assert await asyncio.gather(*(server.said(f"print({n})") for n in range(12))) == [str(n) for n in range(12)]
        assert psutil.pid_exists(pid)
