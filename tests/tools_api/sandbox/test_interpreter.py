"""Which Python runs inside: ours wherever it is installed, or the system's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools_api.sandbox.conftest import LIMITS, Attacker, need_bubblewrap
from tools_api.sandbox import Interpreter, Job, Sandbox, SandboxOptions, describe
from tools_api.sandbox.interpreter import own_interpreter

SYSTEM = Path("/usr/bin/python3")


@pytest.mark.sandbox
@pytest.mark.asyncio(loop_scope="session")
async def test_nothing_inside_says_where_the_services_python_lies(attacker: Attacker) -> None:
    said = await attacker.attempt(
        "import sys, json; said = [sys.executable, sys.prefix, sys.path, dict(os.environ), json.__file__]"
    )
    home = str(Path(sys.base_prefix).resolve())
    assert home == "/usr" or home not in said
    assert str(Path(__file__).parents[3]) not in said


@pytest.mark.sandbox
@pytest.mark.skipif(not SYSTEM.exists(), reason="no system Python here")
async def test_the_systems_python_serves_too() -> None:
    need_bubblewrap()
    executable = SYSTEM.resolve()
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.run([executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    interpreter = describe(prefix=Path("/usr"), executable=executable, version=version)
    sandbox = Sandbox(SandboxOptions(interpreter=interpreter, limits=LIMITS))
    await sandbox.start()
    try:
        assert sandbox.report.available, sandbox.report
        outcome = await sandbox.run(Job(argv=(*interpreter.argv, "-c", "import sys; print(sys.prefix)")))
    finally:
        await sandbox.aclose()
    assert outcome.stdout == b"/usr\n"


@pytest.mark.sandbox
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root stages what others can't read")
async def test_an_interpreter_whose_files_others_may_not_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    need_bubblewrap()
    private = tmp_path / "lib"
    private.mkdir(mode=0o700)
    own = own_interpreter()
    interpreter = describe(prefix=tmp_path, executable=Path(sys.executable).resolve(), version=own.version)
    sandbox = Sandbox(SandboxOptions(interpreter=interpreter))
    report = await sandbox.probe()
    await sandbox.aclose()
    assert not report.available
    assert "chmod -R a+rX" in (report.reason or "")


def test_an_interpreter_elsewhere_appears_at_a_neutral_place(tmp_path: Path) -> None:
    (tmp_path / "lib/python3.12/site-packages").mkdir(parents=True)
    interpreter = describe(prefix=tmp_path, executable=tmp_path / "bin/python3.12", version="3.12")
    assert interpreter.executable == "/opt/python/bin/python3.12"
    assert interpreter.hidden == ("/opt/python/lib/python3.12/site-packages",)
    assert interpreter.env == {"LD_LIBRARY_PATH": "/opt/python/lib"}


def test_the_systems_interpreter_needs_nothing_but_usr() -> None:
    interpreter = describe(prefix=Path("/usr"), executable=Path("/usr/bin/python3.11"), version="3.11")
    assert interpreter == Interpreter(version="3.11", executable="/usr/bin/python3.11")
