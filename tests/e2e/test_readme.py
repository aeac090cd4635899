"""The README's tour, typed as it stands: only the ports and the data folder are this test's own."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.servers import ROOT, Twinport

pytestmark = pytest.mark.slow

_TOUR = re.compile(r"<!-- tour:.*?-->(.*)<!-- end of the tour -->", re.S)
_BLOCKS = re.compile(r"```(bash|python)\n(.*?)```", re.S)


def tour(twinport: Twinport) -> str:
    """Return the tour as one bash script against the running servers."""
    found = _TOUR.search((ROOT / "README.md").read_text())
    assert found
    lines: list[str] = []
    for language, block in _BLOCKS.findall(found[1]):
        if language == "python":
            block = f"{shlex.quote(sys.executable)} - <<'PYTHON'\n{block}PYTHON\n"  # noqa: PLW2901
        lines.append(f"echo '=== step'\n{block}")
    script = "\n".join(lines)
    script = script.replace("10007", str(twinport.port)).replace("10006", str(twinport.tools_port))
    return script.replace("data/secrets", f"{twinport.data_dir}/secrets").replace(
        "./twinport", shlex.quote(f"{ROOT}/twinport")
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour is typed with curl")
def test_the_tour_works_as_it_stands(twinport: Twinport, tmp_path: Path) -> None:
    settings = {
        "DATA_DIR": str(twinport.data_dir),
        "MAIN_API_PORT": str(twinport.port),
        "TOOLS_PORT": str(twinport.tools_port),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", tour(twinport)],
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = done.stdout.split("=== step")[1:]
    assert len(steps) == 11
    account, hello, computed, streamed, sessions, _key, identity, _plot, documents, from_files, commands = steps
    assert '"userId"' in account
    assert "Hello" in hello
    assert '"content":"The result is 84."' in computed
    assert '"type":"tool_call"' in streamed
    assert '"tool_name":"python_coder"' in streamed
    assert streamed.rstrip().endswith("data: [DONE]")
    assert "Calculat" in sessions
    assert "built-in model" in identity
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert '"state":"finished"' in documents
    assert '"citation":"security.md"' in documents
    assert "People log in with a password of at least 12 characters. [1]" in documents
    assert "[1] office.md" in from_files
    assert "The kitchen is cleaned on Fridays." in from_files
    assert "encoder: ready" in from_files
    assert "ada" in commands
    assert "twinport-tiny" in commands
