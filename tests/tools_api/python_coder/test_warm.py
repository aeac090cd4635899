"""On the warm path code finds everything imported, and nothing that another run's code could know."""

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools_api.marked import PATIENCE_S
from tests.tools_api.python_coder.conftest import PACKAGES, Caller
from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.python_coder import PythonCoder, PythonCoderOptions, warm_profile
from tools_api.sandbox import Limits, Sandbox, SandboxOptions

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        not PACKAGES.is_dir(), reason="run `python -m tools_api.sandbox.packages .venv/sandbox-packages`"
    ),
]

WORKERS = 3


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox() -> AsyncGenerator[Sandbox]:
    need_bubblewrap()
    profile = warm_profile(PACKAGES, workers=WORKERS, preload=True)
    sandbox = Sandbox(SandboxOptions(limits=Limits(wall_s=30, cpu_s=30, memory_bytes=512 << 20), warm=profile))
    await sandbox.start()
    deadline = time.monotonic() + PATIENCE_S
    while not (sandbox.warm and sandbox.warm.ready and sandbox.warm.waiting == WORKERS):
        assert sandbox.warm is not None, sandbox.report
        assert sandbox.warm.reason is None, sandbox.warm
        assert time.monotonic() < deadline, sandbox.warm
        await asyncio.sleep(0.05)
    yield sandbox
    await sandbox.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def run(sandbox: Sandbox, tmp_path: Path) -> AsyncGenerator[Caller]:
    """Call the tool; every call of a test must have been given a warm sandbox, those of a session one together."""
    tool = PythonCoder(sandbox, PythonCoderOptions(packages=PACKAGES, workspace_bytes=1 << 20))
    sandboxes: set[object] = set()

    class Counting(Caller):
        async def __call__(self, code: str, *, timeout_s: float = 30, **arguments: object):
            sandboxes.add(arguments.get("session") or object())
            return await super().__call__(code, timeout_s=timeout_s, **arguments)

    assert sandbox.warm is not None
    before = sandbox.warm.runs
    yield Counting(tool, tmp_path)
    assert sandbox.warm.runs == before + len(sandboxes) > before


async def test_the_packages_are_imported_before_the_code_asks(run: Caller) -> None:
    said = await run("import sys; print([name in sys.modules for name in ('numpy', 'pandas', 'matplotlib.pyplot')])")
    assert said.content == "[True, True, True]"


@pytest.mark.parametrize(
    "draw",
    [
        "import numpy; numpy.random.random()",
        "import numpy; numpy.random.standard_normal()",
        "import numpy; numpy.random.default_rng().random()",
        "import pandas; int(pandas.Series(range(10**6)).sample(1).iloc[0])",
        "import random; random.random()",
        "import os; os.urandom(8)",
        "import uuid; uuid.uuid4()",
        "import tempfile; tempfile.mktemp()",
    ],
)
async def test_no_two_runs_draw_the_same_random_numbers(run: Caller, draw: str) -> None:
    answers = await asyncio.gather(*(run(draw) for _ in range(2 * WORKERS)))
    values = [answer.data["value"] for answer in answers]
    assert len(set(values)) == len(values), values


async def test_a_seed_gives_the_numbers_that_it_always_gives(run: Caller) -> None:
    said = await run(
        "import numpy, random; numpy.random.seed(1); random.seed(1); numpy.random.randint(1000), random.randint(0, 999)"
    )
    assert said.data["value"] == "(37, 137)"


async def test_figures_come_back_though_pyplot_was_there_before_the_code(run: Caller) -> None:
    answer = await run(
        "import matplotlib.pyplot as plt\nplt.plot([1, 4])\nplt.figure()\nplt.bar([1], [2])\nprint(plt.get_fignums())"
    )
    assert [file.name for file in answer.files] == ["figure_1.png", "figure_2.png"]
    assert all(file.content.startswith(b"\x89PNG") for file in answer.files)
    assert answer.content.startswith("[1, 2]")


async def test_a_figure_that_the_code_saves_is_not_saved_again(run: Caller) -> None:
    answer = await run("import matplotlib.pyplot as plt\nplt.plot([1, 4])\nplt.savefig('mine.png')")
    assert [file.name for file in answer.files] == ["mine.png"]


async def test_show_saves_and_closes(run: Caller) -> None:
    answer = await run("import matplotlib.pyplot as plt\nplt.plot([1, 4])\nplt.show()\nprint(plt.get_fignums())")
    assert [file.name for file in answer.files] == ["figure_1.png"]
    assert answer.content.startswith("[]")


async def test_a_module_of_the_workspace_is_the_one_that_is_imported(run: Caller) -> None:
    names = ("confinement", "fonts", "preload", "supervisor", "zygote")
    for name in names:
        (run.workspace / f"{name}.py").write_text("mine = True\n")
    answer = await run(f"import {', '.join(names)}\n[module.mine for module in ({', '.join(names)})]")
    assert answer.data["value"] == str([True] * len(names)), answer.content


async def test_an_exception_is_reported_as_on_the_cold_path(run: Caller) -> None:
    answer = await run("1 / 0")
    assert answer.error is not None
    assert answer.error.message == "ZeroDivisionError: division by zero"
    assert answer.data["traceback"].splitlines()[1] == '  File "<code>", line 1, in <module>'


async def test_memory_of_a_run_is_limited(run: Caller) -> None:
    answer = await run("import os\nheld = [bytearray(os.urandom(1) * (16 << 20)) for _ in range(100)]")
    assert answer.error is not None
    assert answer.error.type == "memory"


async def test_a_session_lives_on_in_a_warm_sandbox(run: Caller) -> None:
    first = await run("import pandas\nframe = pandas.DataFrame({'a': [1, 2]})", session="warm")
    assert first.error is None, first
    answer = await run("int(frame.a.sum())", session="warm")
    assert answer.data["value"] == "3"


async def test_orphans_do_not_use_up_the_processes_of_a_run(run: Caller) -> None:
    """Each round leaves an orphan that ends at once; unreaped, 80 of them would meet the limit of 64."""
    answer = await run("""
import os
for _ in range(80):
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)
print("done")
""")
    assert answer.content == "done", answer
