"""A run that meets a limit says which, how much it is, and what to do; the receipt says what was used and refused."""

import pytest

from tests.tools_api.python_coder.conftest import Caller

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

FOUR_BUSY = "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        while True: pass\ntime.sleep(60)"


@pytest.mark.parametrize(
    ("code", "limit", "says"),
    [
        ("bytearray(10 << 30)", "memory", "512 MB"),
        ("x = []\nwhile True: x.append(bytearray(b'x' * (32 << 20)))", "memory", "smaller pieces"),
        ("while True: print('x' * 1000)", "output", "Print less"),
        ("f = open('f', 'wb')\nwhile True: f.write(bytes(1 << 20))", "files", "a file of more than 64 MB"),
        ("for n in range(999): open(f'f{n}', 'wb').write(bytes(1 << 20))", "files", "128 MB in the current folder"),
        ("for n in range(999): open(f'/tmp/{n}', 'wb').write(bytes(1 << 20))", "files", "64 MB in /tmp"),
        ("x = [open('/dev/null') for _ in range(999)]", "files", "256 files open at once"),
        ("import os\nwhile os.fork(): pass\nimport time; time.sleep(9)", "processes", "64 processes"),
        (
            "import threading as t, time\n"
            "for _ in range(99): t.Thread(target=time.sleep, args=(9,), daemon=True).start()",
            "processes",
            "threads at once",
        ),
    ],
    ids=[
        "memory-at-once",
        "memory-in-pieces",
        "output",
        "one-file",
        "all-files",
        "temporary-files",
        "open-files",
        "processes",
        "threads",
    ],
)
async def test_a_limit_is_named(run: Caller, code: str, limit: str, says: str) -> None:
    output = await run(code)
    assert output.error is not None
    assert output.error.type == limit
    assert output.data["limit"] == limit
    assert says in output.error.message
    assert output.error.message in output.content
    assert "A call may ask for more" not in output.error.message, "it has asked for no less than there is"


@pytest.mark.parametrize(
    ("code", "lowered", "limit", "says"),
    [
        (FOUR_BUSY, {"cpu_s": 0.2}, "cpu", "more than 0.2 s of processor time"),
        (FOUR_BUSY, {"cpu_s": 0.2}, "cpu", "limits.cpu_s up to 120."),
        ("x = bytearray(b'x') * (100 << 20); x", {"memory_mb": 64}, "memory", "more than 64 MB of memory"),
        ("x = bytearray(b'x') * (100 << 20); x", {"memory_mb": 64.0}, "memory", "limits.memory_mb up to 512."),
        ("import os; os.fork()", {"processes": 1}, "processes", "more than 1 processes"),
        ("print('x' * 2000)", {"output_kb": 1}, "output", "more than 1 KB"),
        ("print('x' * 2000)", {"output_kb": 1}, "output", "limits.output_kb up to 256."),
        ("open('f', 'wb').write(bytes(2 << 20))", {"workspace_mb": 1}, "files", "1 MB in the current folder"),
        ("open('f', 'wb').write(bytes(2 << 20))", {"workspace_mb": 1}, "files", "limits.workspace_mb up to 128."),
    ],
)
async def test_a_call_may_lower_a_limit(
    run: Caller, code: str, lowered: dict[str, object], limit: str, says: str
) -> None:
    output = await run(code, limits=lowered)
    assert output.error is not None
    assert output.error.type == limit
    assert says in output.error.message


async def test_a_lowered_number_of_processes_leaves_the_code_its_own(run: Caller) -> None:
    assert (await run("print(6 * 7)", limits={"processes": 1})).data["stdout"] == "42\n"


@pytest.mark.parametrize(
    ("lowered", "code", "kept", "says"),
    [
        ({"files": 1}, "for name in 'abc': open(name, 'w').write(name)", ["a"], "more files than the 1"),
        ({"files": 0}, "open('a', 'w').write('a')", [], "more files than the 0"),
        ({"files_mb": 1}, "open('a', 'wb').write(bytes(2 << 20)); open('b', 'w').write('b')", ["b"], "than the 1 MB"),
    ],
)
async def test_files_beyond_their_limit_are_told_and_the_run_is_good(
    run: Caller, lowered: dict[str, object], code: str, kept: list[str], says: str
) -> None:
    output = await run(code, limits=lowered)
    assert output.error is None
    assert output.data["limit"] == "files"
    assert [file.name for file in output.files] == kept
    assert says in output.content
    assert output.receipt.files_out == len(kept)
    assert any(reason.startswith(("too many files", "too large: a")) for reason in output.receipt.denied)


async def test_a_timeout_keeps_what_was_printed(run: Caller) -> None:
    output = await run("print('started')\nwhile True: pass", timeout=0.7)
    assert output.error is not None
    assert output.error.type == "timeout"
    assert "0.7 s" in output.error.message
    assert "timeout up to 120" in output.error.message
    assert output.data["stdout"] == "started\n"


async def test_the_callers_deadline_ends_a_run_before_the_boundary_does(run: Caller) -> None:
    output = await run("while True: pass", timeout_s=1.5)
    assert output.error is not None
    assert output.error.type == "timeout"
    assert "within 0.8 s" in output.error.message, "the rest is for ending it and for handing over its files"


async def test_the_receipt_says_what_was_used(run: Caller) -> None:
    code = "x = bytearray(b'x') * (64 << 20)\nsum(range(3_000_000))\nopen('a', 'w').write('abc')\nprint('said')"
    receipt = (await run(code)).receipt
    assert 0.01 < receipt.cpu_s < 120
    assert 64 << 20 < receipt.peak_memory_bytes < 512 << 20
    assert receipt.processes == 1
    assert receipt.files_out == 1
    assert receipt.bytes_out >= len("said\n") + len("abc")
    assert receipt.denied == ()


async def test_the_receipt_counts_processes_and_threads(run: Caller) -> None:
    code = """
import os, threading, time
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
    children.append(pid)
threads = [threading.Thread(target=time.sleep, args=(0.5,)) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for pid in children:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
"""
    assert (await run(code)).receipt.processes == 6


async def test_the_receipt_says_what_was_refused(run: Caller) -> None:
    output = await run("import os, socket\nos.symlink('/etc', 'link')\nsocket.socket(socket.AF_INET)")
    assert output.receipt.denied == ("network", "not a plain file: link")


async def test_writing_elsewhere_is_refused_and_told(run: Caller) -> None:
    output = await run("open('/usr/file', 'w')")
    assert output.receipt.denied == ("writing outside of the workspace",)
    assert "Only the current folder and /tmp can be written to." in output.content


async def test_a_package_that_is_not_there_is_answered_with_those_that_are(run: Caller) -> None:
    output = await run("import requests")
    assert output.error is not None
    assert output.error.message == "ModuleNotFoundError: No module named 'requests'"
    assert "the standard library" in output.content
    assert "nothing can be installed" in output.content
