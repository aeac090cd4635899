"""The compiled filter, run by a small interpreter of its own, for both architectures that we ship to."""

import struct
import sys

import pytest

from tools_api.sandbox.seccomp import ALLOWED, compile_filter

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's"),
]

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50001, 0x50026, 0x00000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": {"read": 0, "clone": 56, "clone3": 435, "socket": 41, "bpf": 321, "ioctl": 16, "io_uring_setup": 425},
    "aarch64": {"read": 63, "clone": 220, "clone3": 435, "socket": 198, "bpf": 280, "ioctl": 29, "io_uring_setup": 425},
}


def _verdict(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Interpret classic BPF over a `seccomp_data`, as the kernel does."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(*arguments, *[0] * (6 - len(arguments))))
    instructions = list(struct.iter_unpack("<HBBI", program))
    position = accumulator = 0
    while True:
        code, if_true, if_false, operand = instructions[position]
        position += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, operand)[0]
            case 0x54:
                accumulator &= operand
            case 0x05:
                position += operand
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x25:
                position += if_true if accumulator > operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(hex(code))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("call", "arguments", "verdict"),
    [
        ("read", (0, 0, 0), ALLOW),
        ("bpf", (0,), EPERM),
        ("io_uring_setup", (1,), EPERM),
        ("clone3", (0, 0), ENOSYS),
        ("clone", (17,), ALLOW),
        ("clone", (0x1000_0011,), EPERM),
        ("clone", (0x2_0011,), EPERM),
        ("socket", (1, 1, 0), ALLOW),
        ("socket", (2, 1, 0), EPERM),
        ("socket", (40, 1, 0), EPERM),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), EPERM),
    ],
)
def test_the_filter_decides(machine: str, call: str, arguments: tuple[int, ...], verdict: int) -> None:
    program = compile_filter(machine)
    assert _verdict(program, ARCHITECTURES[machine], NUMBERS[machine][call], *arguments) == verdict


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_another_architectures_calls_kill(machine: str) -> None:
    assert _verdict(compile_filter(machine), 0x40000003, 0) == KILL  # i386


def test_a_number_that_no_one_knows_is_refused() -> None:
    assert _verdict(compile_filter("x86_64"), ARCHITECTURES["x86_64"], 9999) == EPERM


def test_the_x32_table_kills() -> None:
    assert _verdict(compile_filter("x86_64"), ARCHITECTURES["x86_64"], 0x4000_0000) == KILL


def test_the_list_names_nothing_twice() -> None:
    assert len(set(ALLOWED)) == len(ALLOWED)


STREAM, DATAGRAM, RAW, NONBLOCK_CLOEXEC = 1, 2, 3, 0o2004000


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ((1, STREAM, 0), ALLOW),
        ((2, STREAM, 0), ALLOW),
        ((2, STREAM | NONBLOCK_CLOEXEC, 6), ALLOW),
        ((10, STREAM, 0), ALLOW),
        ((2, DATAGRAM, 0), EPERM),
        ((10, DATAGRAM | NONBLOCK_CLOEXEC, 17), EPERM),
        ((2, RAW, 1), EPERM),
        ((2, STREAM, 132), EPERM),
        ((2, STREAM, 262), EPERM),
        ((16, RAW, 0), EPERM),
        ((17, RAW, 0), EPERM),
        ((38, 5, 0), EPERM),
        ((40, STREAM, 0), EPERM),
    ],
)
def test_with_loopback_it_allows_tcp_and_no_other_socket(
    machine: str, arguments: tuple[int, ...], verdict: int
) -> None:
    program = compile_filter(machine, loopback=True)
    assert _verdict(program, ARCHITECTURES[machine], NUMBERS[machine]["socket"], *arguments) == verdict


NEIGHBOURS = {
    "x86_64": {"socket": 41, "connect": 42, "socketpair": 53, "fchmod": 91, "setpriority": 141, "prlimit64": 302},
    "aarch64": {"socket": 198, "connect": 203, "socketpair": 199, "fchmod": 52, "setpriority": 140, "prlimit64": 261},
}


@pytest.mark.parametrize(
    ("call", "arguments", "verdict"),
    [
        ("socket", (1, 1, 0), EPERM),
        ("connect", (3, 0, 0), EPERM),
        ("socketpair", (1, 1 | 0o2004000, 0), ALLOW),
        ("socketpair", (1, 2, 0), EPERM),
        ("fchmod", (3, 0), 0x50000),
        ("setpriority", (0, 0, 5), ALLOW),
        ("setpriority", (0, 1, 5), EPERM),
        ("setpriority", (1, 0, 5), EPERM),
        ("setpriority", (2, 0, 5), EPERM),
        ("prlimit64", (0, 7, 0, 0), ALLOW),
        ("prlimit64", (1, 7, 0, 0), EPERM),
    ],
)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_without_namespaces_nothing_reaches_a_neighbour(
    machine: str, call: str, arguments: tuple[int, ...], verdict: int
) -> None:
    program = compile_filter(machine, namespaces=False)
    assert _verdict(program, ARCHITECTURES[machine], NEIGHBOURS[machine][call], *arguments) == verdict
