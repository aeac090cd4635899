"""numpy, pandas and matplotlib, and figures that nobody saved."""

from dataclasses import replace

import pytest

from tests.tools_api.python_coder.conftest import PACKAGES, Caller
from tools_api.python_coder import PythonCoder, PythonCoderOptions

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.slow,  # each imports half a second of packages
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        not PACKAGES.is_dir(), reason="run `python -m tools_api.sandbox.packages .venv/sandbox-packages`"
    ),
]
PNG = b"\x89PNG\r\n\x1a\n"


async def test_numpy_and_pandas_work(run: Caller) -> None:
    output = await run("import numpy as np, pandas as pd\npd.DataFrame({'a': np.arange(3) ** 2}).a.sum()")
    assert output.content == "np.int64(5)"


async def test_a_figure_is_returned_though_nobody_saved_it(run: Caller) -> None:
    output = await run("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nprint('drawn')")
    assert output.error is None
    assert [(file.name, file.media_type) for file in output.files] == [("figure_1.png", "image/png")]
    assert output.files[0].content.startswith(PNG)
    assert output.data["stderr"] == ""


async def test_show_does_no_harm_and_ends_a_figure(run: Caller) -> None:
    code = "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()\nplt.plot([2])\nplt.show()\n"
    code += "print(plt.get_fignums())"
    output = await run(code)
    assert [file.name for file in output.files] == ["figure_1.png", "figure_2.png"]
    assert output.data["stdout"] == "[]\n"
    assert output.data["stderr"] == ""


@pytest.mark.parametrize("first", ["", "import matplotlib\nmatplotlib.use('Agg')\n"], ids=["plain", "agg"])
async def test_a_figure_that_the_code_saves_comes_once(run: Caller, first: str) -> None:
    output = await run(first + "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('mine.png')\nplt.show()")
    assert [file.name for file in output.files] == ["mine.png"]


async def test_a_figure_is_returned_after_an_exception_too(run: Caller) -> None:
    output = await run("import matplotlib.pyplot as plt\nplt.plot([1])\n1 / 0")
    assert [file.name for file in output.files] == ["figure_1.png"]
    assert output.error is not None
    assert output.error.message.startswith("ZeroDivisionError")


async def test_the_list_of_fonts_is_not_made_again(run: Caller) -> None:
    code = "import glob, os, matplotlib.font_manager\n"
    output = await run(code + "[os.path.islink(path) for path in glob.glob('/tmp/.matplotlib/fontlist*')]")
    assert output.data["value"] == "[True]"
    assert output.data["stderr"] == ""


async def test_without_the_packages_the_standard_library_is_offered(run: Caller, tool: PythonCoder) -> None:
    bare = replace(run, tool=PythonCoder(tool._sandbox, PythonCoderOptions(packages=None)))
    assert "Only the standard library" in bare.tool.definition.description
    assert "matplotlib" not in bare.tool.definition.description
    assert (await bare("import statistics; statistics.mean([1, 2])")).content == "1.5"
    output = await bare("import numpy")
    assert output.error is not None
    assert "No module named 'numpy'" in output.error.message


async def test_in_a_session_a_figure_comes_with_the_call_that_draws_it(run: Caller) -> None:
    calls = ["import matplotlib.pyplot as plt", "plt.plot([1, 2])", "1", "plt.plot([3])"]
    outputs = [await run(code, session="figures", timeout_s=120) for code in calls]
    names = [[file.name for file in output.files] for output in outputs]
    assert names == [[], ["figure_1.png"], [], ["figure_2.png"]]
