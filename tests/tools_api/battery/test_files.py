"""What sandboxed code can't read or write of the host's files."""

import os
import re
from pathlib import Path

import pytest

from tests.tools_api.accounts import REPOSITORY
from tests.tools_api.battery.planted import CANARY, Planted, Unprotected
from tests.tools_api.battery.server import MARKS, OTHER_KEY, Server

pytestmark = MARKS

NOT_THERE = "FileNotFoundError: [Errno 2] No such file or directory: "
WRITE_REFUSED = re.compile(r"(PermissionError: \[Errno (1|13)\]|OSError: \[Errno 30\]) .*planted'$")
LOOK_AROUND = """
import os
found = os.listdir('.') + os.listdir('/tmp') + os.listdir('/dev/shm')
print([name for name in found if name != '.matplotlib'])  # the list of fonts, which every run has
"""


async def test_a_planted_secret_that_everyone_may_read_is_not_there(
    server: Server, planted: Planted, unprotected: Unprotected
) -> None:
    attack = f"print(open({planted.secret!r}).read())"
    assert CANARY in await unprotected(attack)
    assert await server.refusal(attack) == f"{NOT_THERE}{planted.secret!r}"


async def test_the_shadow_file_is_not_there(server: Server) -> None:
    assert await server.refusal("print(open('/etc/shadow').read())") == f"{NOT_THERE}'/etc/shadow'"


@pytest.mark.parametrize("path", ["/etc", "/root", "/home", "/var", "/run", "/sys"])
async def test_the_hosts_configuration_and_state_are_not_there(server: Server, path: str) -> None:
    assert await server.refusal(f"import os; print(os.listdir({path!r}))") == f"{NOT_THERE}{path!r}"


async def test_the_services_code_is_not_there(server: Server) -> None:
    for path in {REPOSITORY, server.account.repository}:
        assert await server.refusal(f"open('{path}/config.py')") == f"{NOT_THERE}'{path}/config.py'"


async def test_the_services_data_is_not_there(server: Server) -> None:
    await server.said("print('used')", workspace="used")
    path = f"{server.folder}/data/scratch"
    assert Path(path).is_dir()
    assert await server.refusal(f"import os; os.listdir({path!r})") == f"{NOT_THERE}{path!r}"


async def test_the_services_packages_cannot_be_imported(server: Server) -> None:
    assert await server.refusal("import pydantic") == "ModuleNotFoundError: No module named 'pydantic'"


async def test_nothing_is_written_outside_of_the_sandbox(
    server: Server, planted: Planted, unprotected: Unprotected
) -> None:
    """The folder can be made inside, in the sandbox's own /tmp; the host's stays as it was."""
    written = planted.folder / "written"
    attack = f"import os; os.makedirs({str(planted.folder)!r}, exist_ok=True); open({str(written)!r}, 'w'); print('ok')"
    assert await unprotected(attack) == "ok\n"
    assert written.exists()
    written.unlink()
    attempt = await server.run(attack)
    assert attempt.stdout == "ok" or "[Errno 30]" in attempt.exception, attempt.result
    assert not written.exists()


@pytest.mark.parametrize("path", ["/", "/usr", "/usr/bin", "/opt", "/dev", "/proc/sys/kernel", "/usr/local"])
async def test_what_is_not_the_workspace_is_read_only(server: Server, path: str) -> None:
    refusal = await server.refusal(f"open({path!r} + '/planted', 'w')")
    assert WRITE_REFUSED.match(refusal) or (path == "/proc/sys/kernel" and refusal.startswith(NOT_THERE)), refusal


async def test_a_start_up_hook_cannot_be_planted_in_the_interpreter(server: Server) -> None:
    attack = "import os, sysconfig\npath = sysconfig.get_path('stdlib') + '/planted'\n"
    assert await server.said(f"{attack}print(os.path.isdir(os.path.dirname(path)))") == "True"
    assert WRITE_REFUSED.match(await server.refusal(f"{attack}open(path, 'w')"))


async def test_a_symlink_leads_nowhere_outside(server: Server, planted: Planted, unprotected: Unprotected) -> None:
    attack = f"""
import os, tempfile
os.chdir(tempfile.mkdtemp())
os.symlink({str(planted.folder)!r}, 'out')
print(open('out/secret').read())
"""
    assert CANARY in await unprotected(attack)
    assert await server.refusal(attack) == f"{NOT_THERE}'out/secret'"


async def test_the_root_of_process_one_is_the_sandbox_too(server: Server, planted: Planted) -> None:
    path = f"/proc/1/root{planted.secret}"
    assert (await server.refusal(f"open({path!r})")).endswith(f"{path!r}")


async def test_a_link_to_the_old_root_in_a_used_workspace_plants_nothing_on_the_host(
    server: Server, planted: Planted
) -> None:
    """bubblewrap GHSA-pxhw-h44j-8pfx: followed when a mount's target lies below a folder that a run had written."""
    before = sorted(planted.folder.iterdir())
    attack = f"import os; os.symlink('/oldroot{planted.folder}', 'd'); print(os.readlink('d'))"
    assert await server.said(attack, workspace="used") == f"/oldroot{planted.folder}"
    again = "import os\nprint(os.path.lexists('d'))\nos.makedirs('d/x', exist_ok=True); open('d/x/y', 'w')"
    assert (await server.run(again, workspace="used")).status == 200
    assert sorted(planted.folder.iterdir()) == before


async def test_a_run_without_a_workspace_leaves_no_file_to_the_next(server: Server) -> None:
    leave = "for path in ('left', '/tmp/left', '/dev/shm/left'): open(path, 'w').write('x')\nprint('left')"
    assert await server.said(leave) == "left"
    assert await server.said(LOOK_AROUND) == "[]"


async def test_a_workspace_keeps_its_files_and_nothing_else(server: Server) -> None:
    leave = "variable = 1\nfor path in ('kept', '/tmp/left', '/dev/shm/left'): open(path, 'w').write('x')"
    await server.said(leave, workspace="kept")
    assert await server.said(LOOK_AROUND, workspace="kept") == "['kept']"
    refusal = await server.refusal("print(variable)", workspace="kept")
    assert refusal == "NameError: name 'variable' is not defined"


async def test_a_workspace_of_the_same_name_belongs_to_another_service(server: Server) -> None:
    await server.said("open('own', 'w').write('x')", workspace="same-name")
    assert await server.said(LOOK_AROUND, workspace="same-name") == "['own']"
    assert await server.said(LOOK_AROUND, workspace="same-name", key=OTHER_KEY) == "[]"


@pytest.mark.parametrize("name", ["../main_api", "/etc", "a/b", ".", ""])
async def test_a_workspace_cannot_be_named_out_of_its_place(server: Server, name: str) -> None:
    async with server.call({"arguments": {"code": "print('ra' + 'n')"}, "workspace": name}) as answer:
        assert 400 <= answer.status < 500
        assert "ran" not in await answer.text()


async def test_shared_memory_files_of_the_host_are_not_there(server: Server, unprotected: Unprotected) -> None:
    planted = Path(f"/dev/shm/twinport-{os.getpid()}")
    planted.write_text(CANARY)
    planted.chmod(0o644)
    attack = f"print(open('{planted}').read())"
    try:
        assert CANARY in await unprotected(attack)
        assert await server.refusal(attack) == f"{NOT_THERE}'{planted}'"
    finally:
        planted.unlink()


async def test_devices_of_the_host_are_not_there(server: Server) -> None:
    wanted = "core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert await server.said("import os; print(*sorted(os.listdir('/dev')))") == wanted


async def test_a_device_cannot_be_opened_through_a_node_of_ones_own(server: Server) -> None:
    attack = "import os\nos.mknod('disk', 0o60666, os.makedev(8, 0)); open('disk', 'rb').read(1)"
    assert (await server.refusal(attack)).startswith("PermissionError: [Errno 1]")
