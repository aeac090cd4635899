"""What sandboxed code can't read or write of the host."""

import os
from pathlib import Path

import pytest

from tests.tools_api.sandbox.conftest import Attacker

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

REPOSITORY = Path(__file__).parents[3]


async def test_a_planted_file_that_everyone_may_read_is_not_there(attacker: Attacker, open_folder: Path) -> None:
    secret = open_folder / "secret"
    secret.write_text("planted")
    secret.chmod(0o644)
    assert (await attacker.attempt(f"said = open({str(secret)!r}).read()")).startswith("refused FileNotFoundError")


async def test_the_hosts_configuration_is_not_there(attacker: Attacker) -> None:
    said = await attacker.attempt(
        "said = [p for p in ('/etc', '/root', '/home', '/var', '/run', '/sys') if os.path.exists(p)]"
    )
    assert said == "[]"


async def test_the_shadow_file_is_unreadable(attacker: Attacker) -> None:
    assert (await attacker.attempt("said = open('/etc/shadow').read()")).startswith("refused")


async def test_the_services_own_code_is_not_there(attacker: Attacker) -> None:
    assert await attacker.attempt(f"said = os.path.exists({str(REPOSITORY)!r})") == "False"


async def test_the_services_packages_cannot_be_imported(attacker: Attacker) -> None:
    assert (await attacker.attempt("import pydantic")).startswith("refused ModuleNotFoundError")


@pytest.mark.parametrize("path", ["/", "/usr", "/opt", "/opt/python", "/dev", "/proc/sys/kernel", "/usr/local"])
async def test_only_the_workspace_and_temporary_folders_are_writable(attacker: Attacker, path: str) -> None:
    assert (await attacker.attempt(f"open({path!r} + '/planted', 'w')")).startswith("refused")


async def test_a_start_up_hook_cannot_be_planted_in_the_interpreter(attacker: Attacker) -> None:
    said = await attacker.attempt("open(os.path.dirname(os.__file__) + '/site-packages/evil.pth', 'w')")
    assert said.startswith("refused")


async def test_a_symlink_leads_nowhere_outside(attacker: Attacker, open_folder: Path) -> None:
    (open_folder / "secret").write_text("planted")
    said = await attacker.attempt(f"os.symlink({str(open_folder)!r}, 'out'); said = open('out/secret').read()")
    assert said.startswith("refused FileNotFoundError")


async def test_the_root_of_process_one_is_the_sandbox_too(attacker: Attacker) -> None:
    assert (await attacker.attempt("said = os.listdir('/proc/1/root/etc')")).startswith("refused")


async def test_a_link_to_the_old_root_plants_nothing_on_the_host(attacker: Attacker, open_folder: Path) -> None:
    """bubblewrap GHSA-pxhw-h44j-8pfx: followed when a mount's target lies below a folder that a run had written."""
    await attacker.attempt(f"os.symlink('/oldroot{open_folder}', 'd'); os.makedirs('d/x', exist_ok=True)")
    await attacker.attempt("said = os.listdir('.')")
    assert list(open_folder.iterdir()) == []


async def test_each_run_starts_with_an_empty_workspace(attacker: Attacker) -> None:
    await attacker.attempt("open('left', 'w').write('x'); open('/tmp/left', 'w').write('x')")
    assert await attacker.attempt("said = os.listdir('.') + os.listdir('/tmp') + os.listdir('/dev/shm')") == "[]"


async def test_the_hosts_shared_memory_files_are_not_there(attacker: Attacker) -> None:
    planted = Path("/dev/shm", f"twinport-{os.getpid()}")
    planted.write_text("planted")
    try:
        assert (await attacker.attempt(f"said = open({str(planted)!r}).read()")).startswith("refused")
    finally:
        planted.unlink()


async def test_devices_of_the_host_are_not_there(attacker: Attacker) -> None:
    said = await attacker.attempt("said = sorted(set(os.listdir('/dev')))")
    wanted = "core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert said == str(wanted.split())


async def test_a_device_node_cannot_be_made(attacker: Attacker) -> None:
    said = await attacker.attempt("os.mknod('disk', 0o60666, os.makedev(8, 0)); said = open('disk', 'rb').read(1)")
    assert said.startswith("refused PermissionError")
