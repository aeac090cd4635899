"""Every example of the cortex document's Python REPL tool, through `POST /v1/tools/python_repl/invoke`: as printed."""

import pytest

from tests.tools_api.conftest import Serve
from tools_api.python_coder import PythonCoder

pytestmark = [pytest.mark.sandbox, pytest.mark.asyncio(loop_scope="session")]

FIBONACCI = """
import math
fibonacci = [0, 1]
for i in range(8):
    fibonacci.append(fibonacci[-1] + fibonacci[-2])
print(f"Fibonacci sequence: {fibonacci}")
"""
MODULES = "import math, json, datetime, random, itertools, collections\n"
EXAMPLES = {
    "Python REPL Tool": (
        'import math\nprint([x**2 for x in range(1, 6)])\nprint(f"Pi = {math.pi:.2f}")',
        "[1, 4, 9, 16, 25]\nPi = 3.14\n",
    ),
    "Using Tools in Python": (FIBONACCI, "Fibonacci sequence: [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n"),
    "Example from the prompt": ("print([x**2 for x in range(5)])", "[0, 1, 4, 9, 16]\n"),
    "Allowed modules": (MODULES + "print(math.floor(2.5), json.dumps({'a': 1}))", '2 {"a": 1}\n'),
    "a plan: the first 5 prime numbers": (
        "print([n for n in range(2, 12) if all(n % d for d in range(2, n))])",
        "[2, 3, 5, 7, 11]\n",
    ),
    "an agent: the 10th Fibonacci number": (
        "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n"
        "print(fibonacci(10))",
        "55\n",
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
async def test_an_example_answers_as_printed(tool: PythonCoder, serve: Serve, example: str) -> None:
    code, printed = EXAMPLES[example]
    async with serve(tool) as served:
        status, result = await served.invoke("python_repl", arguments={"code": code}, deadline_ms=120_000)
    assert (status, result["ok"], result["error"]) == (200, True, None)
    assert result["data"]["stdout"] == printed
    assert result["content"] == printed.rstrip("\n")


async def test_stdout_and_stderr_are_captured_apart(tool: PythonCoder, serve: Serve) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)"
    async with serve(tool) as served:
        _, result = await served.invoke("python_repl", arguments={"code": code}, deadline_ms=120_000)
    assert (result["data"]["stdout"], result["data"]["stderr"]) == ("out\n", "err\n")


async def test_the_mistake_that_the_document_warns_of_is_answered_with_the_right_name(
    tool: PythonCoder, serve: Serve
) -> None:
    """`python_repl` requires the parameter `code`, NOT `input`."""
    async with serve(tool) as served:
        status, result = await served.invoke("python_repl", arguments={"input": "print(1)"})
    assert (status, result["ok"], result["error"]["type"]) == (200, False, "invalid_arguments")
    assert "code (string)" in result["error"]["message"]


async def test_its_timeout_of_ten_seconds_can_be_asked_for(tool: PythonCoder, serve: Serve) -> None:
    async with serve(tool) as served:
        arguments = {"code": "while True: pass", "timeout": 1, "limits": {"cpu_s": 10}}
        _, result = await served.invoke("python_repl", arguments=arguments, deadline_ms=120_000)
    assert (result["error"]["type"], "1 s" in result["error"]["message"]) == ("timeout", True)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"memory_mb": 4096}, "'limits.memory_mb' must be at most 512"),
        ({"processes": 1000}, "'limits.processes' must be at most 64"),
        ({"gpu": 1}, "There is no argument 'gpu' in 'limits', which takes: cpu_s, memory_mb, processes"),
    ],
)
async def test_more_than_the_operator_allows_is_refused_with_the_maximum(
    tool: PythonCoder, serve: Serve, limits: dict[str, int], says: str
) -> None:
    async with serve(tool) as served:
        status, result = await served.invoke("python_coder", arguments={"code": "print(1)", "limits": limits})
    assert (status, result["ok"], result["error"]["type"]) == (200, False, "invalid_arguments")
    assert says in result["error"]["message"]
    assert result["data"] is None


async def test_a_file_in_a_folder_is_downloaded_and_there_again(tool: PythonCoder, serve: Serve) -> None:
    async with serve(tool) as served:
        code = "import os; os.makedirs('out', exist_ok=True); open('out/a.csv', 'a').write('1,2')"
        _, first = await served.invoke("python_repl", arguments={"code": code}, workspace="w", deadline_ms=120_000)
        code = "print(open('out/a.csv').read())"
        _, second = await served.invoke("python_repl", arguments={"code": code}, workspace="w", deadline_ms=120_000)
        async with served.client.get(f"{served.url}/v1/artifacts/{first['artifacts'][0]['id']}") as answer:
            assert await answer.read() == b"1,2"
    assert (first["data"]["files"], first["artifacts"][0]["name"]) == (["out/a.csv"], "out_a.csv")
    assert (first["receipt"]["files_out"], first["receipt"]["processes"]) == (1, 1)
    assert second["data"]["stdout"] == "1,2\n"
