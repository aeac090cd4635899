"""Binding, before anything else is started."""

import socket
import subprocess
import sys

import pytest

from shared.serve import CannotListen, bind


def test_port_zero_finds_a_free_one() -> None:
    with bind("127.0.0.1", 0, variable="TOOLS_PORT") as listener:
        assert listener.getsockname()[1] > 0


def test_a_taken_port_names_the_setting_to_change() -> None:
    with bind("127.0.0.1", 0, variable="TOOLS_PORT") as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"Port {port} .* taken .* TOOLS_PORT"):
            bind("127.0.0.1", port, variable="TOOLS_PORT")


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(CannotListen, match=r"^Cannot listen on 192\.0\.2\.1:0 .* HOST"):
        bind("192.0.2.1", 0, variable="TOOLS_PORT")


def test_a_name_that_nobody_knows_is_one_sentence() -> None:
    with pytest.raises(CannotListen, match="HOST"):
        bind("no-such-host.invalid", 0, variable="TOOLS_PORT")


def test_ipv6_is_bound_as_such() -> None:
    try:
        listener = bind("::1", 0, variable="TOOLS_PORT")
    except CannotListen:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        assert listener.family is socket.AF_INET6


def test_a_process_opens_as_many_files_as_it_may() -> None:
    code = (
        "import resource; from shared.serve import allow_open_files;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200)); allow_open_files();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "(200, 200)\n"
