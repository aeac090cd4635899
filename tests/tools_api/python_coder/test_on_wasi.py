"""The same tool at the level `wasi`: the same answers, but for what only a real process can do."""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools_api.python_coder.conftest import PACKAGES, Caller
from tests.tools_api.sandbox.wasi.conftest import artefact, sandbox
from tools_api.python_coder import PythonCoder, PythonCoderOptions
from tools_api.sandbox import Sandbox

__all__ = ["artefact", "sandbox"]  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tool(sandbox: Sandbox) -> AsyncGenerator[PythonCoder]:
    yield PythonCoder(sandbox, PythonCoderOptions(packages=PACKAGES, workspace_bytes=1 << 20))


@pytest.fixture
def run(tool: PythonCoder, tmp_path: Path) -> Caller:
    return Caller(tool, tmp_path)


async def test_output_and_the_value_of_the_last_expression(run: Caller) -> None:
    output = await run("import sys\nprint('åäö')\nprint('err', file=sys.stderr)\n6 * 7")
    assert output.error is None, output
    assert (output.data["stdout"], output.data["stderr"], output.data["value"]) == ("åäö\n", "err\n", "42")


async def test_the_cortex_documents_example_answers_as_printed(run: Caller) -> None:
    output = await run('import math\nprint([x**2 for x in range(1, 6)])\nprint(f"Pi = {math.pi:.2f}")')
    assert output.data["stdout"] == "[1, 4, 9, 16, 25]\nPi = 3.14\n"


async def test_an_exception_comes_with_the_codes_own_frames_only(run: Caller) -> None:
    output = await run("def half(x):\n    return x / 0\nhalf(3)", timeout_s=60)
    assert output.error is not None
    assert (output.error.type, output.error.message) == ("exception", "ZeroDivisionError: division by zero")
    assert output.data["traceback"].startswith(
        'Traceback (most recent call last):\n  File "<code>", line 3, in <module>\n    half(3)\n'
    )
    assert "guest" not in output.data["traceback"]
    assert "run_code" not in output.data["traceback"]


async def test_files_go_in_and_out(run: Caller) -> None:
    (run.workspace / "in.csv").write_text("a,b\n1,2\n")
    code = "import csv, json\nrows = list(csv.DictReader(open('in.csv')))\njson.dump(rows, open('out.json', 'w'))"
    output = await run(code, timeout_s=60)
    assert output.error is None, output
    assert [(file.name, file.content) for file in output.files] == [("out.json", b'[{"a": "1", "b": "2"}]')]


async def test_a_module_of_the_workspace_can_be_imported(run: Caller) -> None:
    (run.workspace / "mine.py").write_text("answer = 42")
    assert (await run("import mine\nmine.answer", timeout_s=60)).data["value"] == "42"


@pytest.mark.parametrize(
    ("code", "kind"), [("exit()", None), ("exit(3)", "exception"), ("import os; os._exit(7)", "exit")]
)
async def test_leaving_early(run: Caller, code: str, kind: str | None) -> None:
    output = await run(code, timeout_s=60)
    assert (output.error and output.error.type) == kind


async def test_standard_input_is_empty(run: Caller) -> None:
    output = await run("input('name? ')", timeout_s=60)
    assert output.error is not None
    assert output.error.message.startswith("EOFError")


async def test_the_network_is_refused_in_words(run: Caller) -> None:
    output = await run("import urllib.request\nurllib.request.urlopen('http://example.com/')", timeout_s=60)
    assert output.error is not None
    assert "network" in output.receipt.denied
    assert "There is no network here" in output.content


async def test_threads_are_refused_in_words_that_say_what_to_do(run: Caller) -> None:
    output = await run("import threading\nthreading.Thread(target=print).start()", timeout_s=60)
    assert output.error is not None
    assert output.error.message.endswith("do one thing after the other")


async def test_a_timeout_is_named(run: Caller) -> None:
    output = await run("while True: pass", timeout_s=60, timeout=0.5)
    assert output.error is not None
    assert output.error.type == "timeout"


@pytest.mark.parametrize(
    "name", sorted(sys.stdlib_module_names & {"sqlite3", "wave", "tarfile", "zoneinfo", "unittest"})
)
async def test_the_standard_library_is_there(run: Caller, name: str) -> None:
    output = await run(f"import {name}\n{name}.__name__", timeout_s=60)
    assert output.data["value"] == repr(name), output


async def test_the_description_says_what_is_not_there(tool: PythonCoder) -> None:
    description = tool.definition.description
    assert "Python 3.14" in description
    assert "nly the standard library" in description
    assert "numpy" not in description
    assert "matplotlib" not in description


async def test_numpy_is_not_there(run: Caller) -> None:
    output = await run("import numpy", timeout_s=60)
    assert output.error is not None
    assert output.error.message == "ModuleNotFoundError: No module named 'numpy'"
