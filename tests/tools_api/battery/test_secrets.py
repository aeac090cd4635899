"""What sandboxed code can't learn: environments, descriptors, memory, keys."""

import subprocess
from ast import literal_eval
from pathlib import Path

from tests.tools_api.battery.planted import CANARY, Unprotected
from tests.tools_api.battery.server import KEY, MARKS, Server

pytestmark = MARKS

SYSTEM_CALL = Path(__file__).with_name("system_call.py").read_text()
ALLOWED = {"PATH", "HOME", "USER", "LANG", "TZ", "PWD", "LC_CTYPE", "LD_LIBRARY_PATH"} | {
    *("MPLBACKEND", "MPLCONFIGDIR", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
    *("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"),
}
EVERY_ENVIRONMENT = f"""
import os
found = read = 0
for name in os.listdir('/proc'):
    if name.isdigit():
        try:
            content = open(f'/proc/{{name}}/environ', 'rb').read()
        except OSError:
            continue
        read += 1
        found += {CANARY!r}.encode() in content
print(read > 0, found)
"""
DESCRIPTORS = """
import os
kinds = {}
for name in os.listdir('/proc/self/fd'):
    if os.path.lexists(path := f'/proc/self/fd/{name}'):
        kinds[int(name)] = os.readlink(path).split(':')[0]
print(kinds)
"""


async def test_the_services_environment_is_not_passed_on(server: Server) -> None:
    assert CANARY in server.process.environ().values()
    assert set(literal_eval(await server.said("import os; print(sorted(os.environ))"))) <= ALLOWED


async def test_the_services_key_is_not_in_the_environment_it_starts_with(server: Server) -> None:
    seen = await server.said("print(open('/proc/self/environ').read())")
    assert "PATH=" in seen
    assert KEY not in seen


async def test_no_environment_of_a_host_process_can_be_read(
    server: Server, unprotected: Unprotected, victim: subprocess.Popen[bytes]
) -> None:
    assert victim.poll() is None
    assert not (await unprotected(EVERY_ENVIRONMENT)).endswith(" 0\n")
    assert await server.said(EVERY_ENVIRONMENT) == "True 0"


async def test_only_three_descriptors_and_the_way_to_report_are_open(server: Server) -> None:
    kinds = literal_eval(await server.said(DESCRIPTORS))
    assert len(kinds) == 4
    assert set(kinds.values()) <= {"/dev/null", "pipe", "socket"}  # some event loops make pairs of sockets for pipes


async def test_a_descriptor_that_the_service_got_by_mistake_is_not_passed_on(server: Server) -> None:
    planted = server.folder / "behind-a-descriptor"
    assert any(
        Path(link).samefile(planted) for link in Path(f"/proc/{server.process.pid}/fd").iterdir() if link.exists()
    )
    attack = """
import os
seen = []
for fd in range(3, 256):
    try:
        seen.append(os.pread(fd, 100, 0))
    except OSError as error:
        assert error.errno in (9, 29), error  # not open, or a pipe
print(fd, seen)
"""
    assert await server.said(attack) == "255 []"


async def test_a_program_inherits_three_descriptors(server: Server) -> None:
    attack = "import subprocess; subprocess.run(['/bin/sh', '-c', 'ls /proc/$$/fd; true'], close_fds=False)"
    assert (await server.said(attack)).split() == ["0", "1", "2"]


async def test_shared_memory_segments_of_the_host_are_out_of_reach(
    server: Server, unprotected: Unprotected, shared_memory_key: int
) -> None:
    attack = f"{SYSTEM_CALL}\nprint(syscall('shmget', {shared_memory_key}, 4096, 0) >= 0)"
    assert await unprotected(attack) == "True\n"
    assert await server.refusal(attack) == "PermissionError: [Errno 1] Operation not permitted by shmget"


async def test_no_secret_reaches_the_log(server: Server) -> None:
    await server.refusal(f"raise ValueError({CANARY!r})")
    assert '"event":"tool_call"' in server.log()
    assert CANARY not in server.log()
    assert KEY not in server.log()
