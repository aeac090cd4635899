"""Doors of the kernel that namespaces leave open and the system call filter closes; privileges that can't be had."""

import platform
from pathlib import Path
from typing import Any

import pytest

from tests.tools_api.battery.server import MARKS, Server

pytestmark = MARKS

SYSTEM_CALL = Path(__file__).with_name("system_call.py").read_text()
CLONE_NEWUSER = 0x1000_0000
CLONE_FLAGS = (0x20000, 0x2000000, 0x4000000, 0x8000000, CLONE_NEWUSER, 0x20000000, 0x40000000)
TIOCSTI = 0x5412


async def refused_by_the_filter(server: Server, name: str, *arguments: int) -> None:
    """With arguments that the kernel itself would answer with another error, or with success."""
    refusal = await server.refusal(f"{SYSTEM_CALL}\nsyscall({name!r}, *{arguments!r})")
    assert refusal == f"PermissionError: [Errno 1] Operation not permitted by {name}"


async def test_io_uring_is_refused(server: Server) -> None:
    await refused_by_the_filter(server, "io_uring_setup", 1, 0)


@pytest.mark.parametrize("call", [("keyctl", 0, -1, 0), ("add_key", 0, 0, 0, 0, -1)], ids=lambda call: call[0])
async def test_the_kernels_key_rings_are_refused(server: Server, call: tuple[Any, ...]) -> None:
    await refused_by_the_filter(server, *call)


async def test_a_new_user_namespace_is_refused(server: Server) -> None:
    await refused_by_the_filter(server, "unshare", CLONE_NEWUSER)


@pytest.mark.parametrize("flag", CLONE_FLAGS, ids=hex)
async def test_clone_refuses_a_new_namespace(server: Server, flag: int) -> None:
    await refused_by_the_filter(server, "clone", flag | 17, 0, 0, 0, 0)


async def test_clone3_whose_flags_no_filter_can_see_is_said_not_to_exist(server: Server) -> None:
    refusal = await server.refusal(f"{SYSTEM_CALL}\nsyscall('clone3', 0, 0)")
    assert refusal == "OSError: [Errno 38] Function not implemented by clone3"


@pytest.mark.parametrize(
    "call",
    [
        ("mount", 0, 0, 0, 0, 0),
        ("open_tree", -100, 0, 1),
        ("pivot_root", 0, 0),
        ("chroot", 0),
        ("setns", 0, 0),
        ("swapon", 0, 0),
        ("open_by_handle_at", 0, 0, 0),
    ],
    ids=lambda call: call[0],
)
async def test_its_view_of_the_file_system_cannot_be_changed(server: Server, call: tuple[Any, ...]) -> None:
    await refused_by_the_filter(server, *call)


async def test_bpf_is_refused(server: Server) -> None:
    await refused_by_the_filter(server, "bpf", 0, 0, 0)


async def test_performance_counters_are_refused(server: Server) -> None:
    await refused_by_the_filter(server, "perf_event_open", 0, 0, -1, -1, 0)


async def test_userfaultfd_is_refused(server: Server) -> None:
    await refused_by_the_filter(server, "userfaultfd", 0)


async def test_ptrace_is_refused_even_on_itself(server: Server) -> None:
    await refused_by_the_filter(server, "ptrace", 0, 0, 0, 0)


@pytest.mark.parametrize("call", [("init_module", 0, 0, 0), ("kexec_load", 0, 0, 0, 0)], ids=lambda call: call[0])
async def test_code_cannot_be_loaded_into_the_kernel(server: Server, call: tuple[Any, ...]) -> None:
    await refused_by_the_filter(server, *call)


@pytest.mark.parametrize(
    "call", [("memfd_create", 0, 0), ("mq_open", 0, 0, 0, 0), ("vmsplice", 1, 0, 0, 0)], ids=lambda call: call[0]
)
async def test_memory_that_no_process_shows_cannot_be_had(server: Server, call: tuple[Any, ...]) -> None:
    await refused_by_the_filter(server, *call)


async def test_the_kernels_log_is_unreadable(server: Server) -> None:
    await refused_by_the_filter(server, "syslog", 3, 0, 0)


async def test_a_terminals_input_cannot_be_forged(server: Server) -> None:
    """The filter looks at the request alone; the kernel would say that /dev/null is no terminal."""
    await refused_by_the_filter(server, "ioctl", 0, TIOCSTI, 0)


async def test_it_has_no_controlling_terminal(server: Server) -> None:
    assert await server.refusal("open('/dev/tty')") == "OSError: [Errno 6] No such device or address: '/dev/tty'"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other machines have no 32-bit entry of this kind")
async def test_the_32_bit_entry_kills(server: Server) -> None:
    """`int 0x80` reaches the table of another architecture, which the filter does not know."""
    attempt = await server.run(
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')  # mov eax, 20; int 0x80; ret\n"
        "print('made', flush=True)\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()"
    )
    assert (attempt.stdout, attempt.error) == ("made", "crashed")
    assert "SIGSYS" in attempt.result["error"]["message"]


async def _status(server: Server) -> dict[str, str]:
    lines = (await server.said("print(open('/proc/self/status').read())")).splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("kind", ["CapEff", "CapPrm", "CapInh", "CapAmb"])
async def test_it_has_no_capability(server: Server, kind: str) -> None:
    assert (await _status(server))[kind] == "0" * 16


async def test_setuid_programs_give_it_nothing(server: Server) -> None:
    assert (await _status(server))["NoNewPrivs"] == "1"


async def test_it_cannot_become_root(server: Server) -> None:
    await refused_by_the_filter(server, "setuid", 0)


async def test_the_filter_is_on(server: Server) -> None:
    assert (await _status(server))["Seccomp"] == "2"


@pytest.mark.parametrize("path", ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"])
async def test_the_kernels_switches_are_not_writable(server: Server, path: str) -> None:
    if not Path(path).exists():
        pytest.skip("this kernel has no such switch")
    refusal = await server.refusal(f"open({path!r}, 'w')")
    assert refusal.startswith(("PermissionError: [Errno 13]", "PermissionError: [Errno 1]", "OSError: [Errno 30]"))


async def test_it_cannot_raise_its_own_limits(server: Server) -> None:
    attack = "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))"
    assert await server.refusal(attack) == "ValueError: not allowed to raise maximum limit"
