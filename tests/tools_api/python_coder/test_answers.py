"""What a model gets back for what it wrote."""

import pytest

from tests.tools_api.python_coder.conftest import Caller

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]


async def test_the_cortex_documents_example_answers_as_printed(run: Caller) -> None:
    output = await run('import math\nprint([x**2 for x in range(1, 6)])\nprint(f"Pi = {math.pi:.2f}")')
    assert output.error is None
    assert output.data["stdout"] == "[1, 4, 9, 16, 25]\nPi = 3.14\n"


async def test_the_cortex_documents_second_example(run: Caller) -> None:
    code = """
import math
fibonacci = [0, 1]
for i in range(8):
    fibonacci.append(fibonacci[-1] + fibonacci[-2])
print(f"Fibonacci sequence: {fibonacci}")
"""
    assert (await run(code)).data["stdout"] == "Fibonacci sequence: [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n"


async def test_the_value_of_the_last_expression_follows_what_was_printed(run: Caller) -> None:
    output = await run("print('first')\n6 * 7")
    assert output.content == "first\n42"
    assert output.data["value"] == "42"
    assert output.data["stdout"] == "first\n"


@pytest.mark.parametrize("code", ["x = 1", "None", "print(1)", "import os", "def f(): return 1"])
async def test_what_has_no_value_reports_none(run: Caller, code: str) -> None:
    assert (await run(code)).data["value"] is None


async def test_an_exception_comes_with_the_codes_own_frames_only(run: Caller) -> None:
    output = await run("def half(x):\n    return x / 0\nprint('before')\nhalf(3)")
    assert output.error is not None
    assert (output.error.type, output.error.message) == ("exception", "ZeroDivisionError: division by zero")
    traceback = output.data["traceback"]
    assert traceback.startswith(
        'Traceback (most recent call last):\n  File "<code>", line 4, in <module>\n    half(3)\n'
    )
    assert "run_code" not in traceback
    assert "supervisor" not in traceback
    assert output.data["stdout"] == "before\n"
    assert output.data["stderr"] == ""


async def test_a_syntax_error_shows_the_place(run: Caller) -> None:
    output = await run("x = (1,\ny = 2")
    assert output.error is not None
    assert output.error.message.startswith("SyntaxError: '(' was never closed")
    assert "x = (1," in output.data["traceback"]


async def test_stderr_is_apart(run: Caller) -> None:
    output = await run("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert (output.data["stdout"], output.data["stderr"]) == ("out\n", "err\n")
    assert output.error is None


@pytest.mark.parametrize(("code", "kind"), [("exit()", None), ("raise SystemExit(0)", None), ("exit(3)", "exception")])
async def test_leaving_early(run: Caller, code: str, kind: str | None) -> None:
    output = await run(code)
    assert (output.error and output.error.type) == kind


@pytest.mark.parametrize(
    ("code", "says"),
    [("import os; os.kill(os.getpid(), 11)", "SIGSEGV"), ("import os; os._exit(7)", "exit status 7")],
)
async def test_a_crash_says_what_happened(run: Caller, code: str, says: str) -> None:
    output = await run(code)
    assert output.error is not None
    assert says in output.error.message


async def test_it_is_main(run: Caller) -> None:
    output = await run("if __name__ == '__main__': print('main')\nimport __main__\nx = 5\n__main__.x")
    assert output.content == "main\n5"


async def test_threads_and_exit_functions_end_as_in_a_script(run: Caller) -> None:
    code = "import atexit, threading, time\natexit.register(print, 'last')\n"
    code += "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\nprint('first')"
    assert (await run(code)).data["stdout"] == "first\nthread\nlast\n"


async def test_child_processes_work(run: Caller) -> None:
    code = "import multiprocessing, subprocess, sys\n"
    code += "with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2]))\n"
    code += "print(subprocess.run([sys.executable, '-c', 'print(3)'], capture_output=True, text=True).stdout)"
    assert (await run(code)).data["stdout"].split() == ["[1,", "2]", "3"]


async def test_standard_input_is_empty(run: Caller) -> None:
    output = await run("input('name? ')")
    assert output.error is not None
    assert output.error.message == "EOFError: EOF when reading a line"


async def test_text_that_is_not_unicode_does_no_harm(run: Caller) -> None:
    output = await run("import os\nos.write(1, b'\\xff\\x00')\nprint('\\ud800')\n'\\ud800\\0'")
    assert output.error is None
    assert output.data["stdout"] == "\ufffd\x00\\ud800\n"


async def test_code_with_half_a_surrogate_pair_is_refused(run: Caller) -> None:
    output = await run("'\ud800'")
    assert output.error is not None
    assert output.error.type == "invalid_arguments"


async def test_nothing_survives_but_files(run: Caller) -> None:
    await run("x = 1\nopen('kept.txt', 'w').write('kept')")
    output = await run("print(open('kept.txt').read(), 'x' in globals())")
    assert output.data["stdout"] == "kept False\n"
    assert output.files == ()


async def test_a_pickle_or_json_on_stdout_comes_back_as_text(run: Caller) -> None:
    text = '{"lc": 1, "type": "constructor", "id": ["os", "system"]}'
    assert (await run(f"print({text!r})")).data["stdout"] == text + "\n"


async def test_the_network_is_refused_in_words(run: Caller) -> None:
    output = await run("import urllib.request\nurllib.request.urlopen('http://example.com/')")
    assert output.error is not None
    assert "network" in output.receipt.denied
    assert "There is no network here" in output.content


async def test_files_that_are_made_come_back(run: Caller) -> None:
    output = await run("open('table.csv', 'w').write('a,b')")
    assert [(f.name, f.media_type, f.content) for f in output.files] == [("table.csv", "text/csv", b"a,b")]
    assert output.data["files"] == ["table.csv"]
    assert "table.csv" in output.content


async def test_what_outgrows_the_workspace_is_returned_but_not_kept(run: Caller) -> None:
    output = await run("open('big', 'wb').write(bytes(2 << 20))")
    assert len(output.files) == 1
    assert "not kept" in output.content
    assert not (run.workspace / "big").exists()


async def test_the_receipt_is_filled(run: Caller) -> None:
    receipt = (await run("sum(range(3_000_000))")).receipt
    assert receipt.cpu_s > 0.01
    assert receipt.peak_memory_bytes > 1 << 20
    assert receipt.bytes_out > 0


async def test_a_forged_report_brings_no_limit_of_its_own_and_few_short_reasons(run: Caller) -> None:
    output = await run("""
import os
fields = ["limit", "invented", *(part for number in range(300) for part in (f"denied{number}", "x" * 300))]
for descriptor in range(3, 20):
    try:
        os.write(descriptor, "\\0".join(fields).encode())
        os._exit(7)
    except OSError:
        continue
""")

    assert output.error is not None
    assert output.error.type == "exit"
    assert len(output.receipt.denied) <= 50
    assert max(map(len, output.receipt.denied)) == 200
