"""Doors of the kernel that namespaces leave open and the system call filter closes; privileges that can't be had."""

import platform
import signal

import pytest

from tests.tools_api.sandbox.conftest import Attacker

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

CLONE_NEWUSER = 0x1000_0000


@pytest.mark.parametrize(
    "call",
    [
        ("add_key", 0, 0, 0, 0, -1),
        ("bpf", 0, 0, 0),
        ("chroot", 0),
        ("init_module", 0, 0, 0),
        ("io_uring_setup", 1, 0),
        ("ioctl", 0, 0x5412, 0),  # TIOCSTI
        ("kexec_load", 0, 0, 0, 0),
        ("keyctl", 0, -1, 0),
        ("memfd_create", 0, 0),
        ("mount", 0, 0, 0, 0, 0),
        ("mq_open", 0, 0, 0, 0),
        ("open_by_handle_at", 0, 0, 0),
        ("open_tree", -100, 0, 1),
        ("perf_event_open", 0, 0, -1, -1, 0),
        ("pivot_root", 0, 0),
        ("ptrace", 0, 0, 0, 0),
        ("setns", 0, 0),
        ("setuid", 0),
        ("shmget", 0, 4096, 0o1666),
        ("swapon", 0, 0),
        ("syslog", 3, 0, 0),
        ("unshare", CLONE_NEWUSER),
        ("userfaultfd", 0),
        ("vmsplice", 1, 0, 0, 0),
    ],
    ids=lambda call: call[0],
)
async def test_the_filter_refuses(attacker: Attacker, call: tuple[object, ...]) -> None:
    said = await attacker.attempt(f"syscall(*{call!r})")
    assert said.startswith("refused PermissionError [Errno 1]"), said


async def test_clone_refuses_every_namespace(attacker: Attacker) -> None:
    said = await attacker.attempt(
        "said = []\n"
        "for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):\n"
        "    try: syscall('clone', flag | 17, 0, 0, 0, 0)\n"
        "    except PermissionError: continue\n"
        "    said.append(hex(flag))"
    )
    assert said == "[]"


async def test_clone3_is_said_not_to_exist(attacker: Attacker) -> None:
    assert (await attacker.attempt("syscall('clone3', 0, 0)")).startswith("refused OSError [Errno 38]")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other machines have no 32-bit entry of this kind")
async def test_the_32_bit_entry_kills(attacker: Attacker) -> None:
    """`int 0x80` reaches the table of another architecture, which the filter does not know."""
    outcome = await attacker.run(
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')  # mov eax, 20; int 0x80; ret\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()"
    )
    assert outcome.exit_code == -signal.SIGSYS


async def _status_of_the_attack(attacker: Attacker) -> dict[str, str]:
    said = await attacker.attempt("said = open('/proc/self/status').read()")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}


@pytest.mark.parametrize("kind", ["CapEff", "CapPrm", "CapInh", "CapAmb"])
async def test_it_has_no_capability(attacker: Attacker, kind: str) -> None:
    assert (await _status_of_the_attack(attacker))[kind] == "0" * 16


async def test_setuid_programs_give_it_nothing(attacker: Attacker) -> None:
    assert (await _status_of_the_attack(attacker))["NoNewPrivs"] == "1"


async def test_the_filter_is_on(attacker: Attacker) -> None:
    assert (await _status_of_the_attack(attacker))["Seccomp"] == "2"


async def test_core_pattern_is_not_writable(attacker: Attacker) -> None:
    assert (await attacker.attempt("open('/proc/sys/kernel/core_pattern', 'w')")).startswith("refused")


async def test_sysrq_is_not_writable(attacker: Attacker) -> None:
    assert (await attacker.attempt("open('/proc/sysrq-trigger', 'w')")).startswith("refused")


async def test_it_cannot_raise_its_own_limits(attacker: Attacker) -> None:
    said = await attacker.attempt("import resource; resource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))")
    assert said.startswith("refused ValueError")
