"""A run that meets a limit says which, in words that a model can act on."""

import pytest

from tests.tools_api.python_coder.conftest import Caller

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize(
    ("code", "limit", "says"),
    [
        ("bytearray(10 << 30)", "memory", "512 MB"),
        ("x = []\nwhile True: x.append(bytearray(b'x' * (32 << 20)))", "memory", "smaller pieces"),
        ("while True: print('x' * 1000)", "output", "Print less"),
        ("f = open('f', 'wb')\nwhile True: f.write(bytes(1 << 20))", "files", "64 MB a file"),
        ("for n in range(999): open(f'f{n}', 'wb').write(bytes(1 << 20))", "files", "128 MB of space"),
        ("x = [open('/dev/null') for _ in range(999)]", "files", "256 open at once"),
        ("import os\nwhile os.fork(): pass\nimport time; time.sleep(9)", "processes", "64 processes"),
    ],
    ids=["memory-at-once", "memory-in-pieces", "output", "one-file", "all-files", "open-files", "processes"],
)
async def test_a_limit_is_named(run: Caller, code: str, limit: str, says: str) -> None:
    output = await run(code)
    assert output.error is not None
    assert output.error.type == limit
    assert output.data["limit"] == limit
    assert says in output.error.message
    assert output.error.message in output.content


async def test_a_timeout_keeps_what_was_printed(run: Caller) -> None:
    output = await run("print('started')\nwhile True: pass", timeout=0.7)
    assert output.error is not None
    assert output.error.type == "timeout"
    assert "0.7 s" in output.error.message
    assert output.data["stdout"] == "started\n"


async def test_the_callers_deadline_ends_a_run_before_the_boundary_does(run: Caller) -> None:
    output = await run("while True: pass", timeout_s=1.5)
    assert output.error is not None
    assert output.error.type == "timeout"
    assert "within 0.8 s" in output.error.message, "the rest is for ending it and for handing over its files"
