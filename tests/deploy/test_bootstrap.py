"""The set-up on a copy of the project's skeleton: a real Python, with a stand-in for venv and pip that keeps a log.

The stand-in is a `python3` on a PATH of its own: it hands everything to the real Python except `-m venv`, which makes
a `.venv` whose python is the stand-in again, and `-m pip`, which it writes down.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TORCH = "pip torch-cpu.lock" if sys.platform == "linux" else "pip torch.lock"
TOOLS = ("bash", "dirname", "id", "cat", "sleep", "uname", "readlink")

STAND_IN = """\
#!{bash}
case "$*" in
    *"-m venv "*)
        echo venv >>"{log}"
        for folder; do :; done
        mkdir -p "$folder/bin" "$folder/lib/python3.11/site-packages/pip"
        echo "home = somewhere" >"$folder/pyvenv.cfg"
        touch "$folder/lib/python3.11/site-packages/pip/__main__.py"
        cp "$0" "$folder/bin/python"
        {venv_also}
        ;;
    *"-m pip install"*)
        for lock; do :; done
        echo "pip ${{lock##*/}}" >>"{log}"
        {pip_also}
        ;;
    *"-m compileall "*)
        echo "$*" >>"{log}.compiled"
        ;;
    *bootstrap.py*)
        exec "{real}" -I -S -c '
import runpy, sys
sys._base_executable = sys.argv.pop(1)
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
' "{base}" "${{@:3}}"
        ;;
    *) exec "{real}" "$@" ;;
esac
"""


class Copy:
    """A copy of what the set-up needs, in a folder with a space in its name."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "twin port"
        self.log = folder / "calls"
        self.path = folder / "path"
        self.path.mkdir()
        (self.root / "deploy" / "locks").mkdir(parents=True)
        self.policy = folder / "policy-rc.d"
        self.nvidia = folder / "nvidia"
        for name in ("bootstrap.sh", "bootstrap.py"):
            text = (ROOT / "deploy" / name).read_text()
            text = text.replace("/usr/sbin/policy-rc.d", str(self.policy))
            (self.root / "deploy" / name).write_text(text.replace("/proc/driver/nvidia", str(self.nvidia)))
        for name in ("runtime", "dev", "sandbox", "torch", "torch-cpu"):
            self.lock(name).write_text(f"{name}==1.0 --hash=sha256:00\n")
        for tool in ("cp", "touch", "mkdir", *TOOLS):
            (self.path / tool).symlink_to(str(shutil.which(tool)))
        self.program("bwrap", "exit 0")
        self.python()

    def lock(self, name: str) -> Path:
        return self.root / "deploy" / "locks" / f"{name}.lock"

    def program(self, name: str, text: str) -> None:
        file = self.path / name
        file.write_text(text if text.startswith("#!") else f"#!{shutil.which('bash')}\n{text}\n")
        file.chmod(0o755)

    def python(self, *, venv_also: str = ":", pip_also: str = ":") -> None:
        values = {"bash": shutil.which("bash"), "log": self.log, "real": sys.executable}
        values["base"] = self.path / "base-python"
        for name in ("python3", "base-python"):
            self.program(name, STAND_IN.format(**values, venv_also=venv_also, pip_also=pip_also))

    def start(self, target: str = "runtime") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["bash", str(self.root / "deploy" / "bootstrap.sh"), target],
            cwd="/",
            env={"PATH": str(self.path), "HOME": str(self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def set_up(self, target: str = "runtime") -> tuple[int, str]:
        process = self.start(target)
        out, error = process.communicate(timeout=30)
        return process.returncode, out + error

    def calls(self) -> list[str]:
        """Return what the stand-in was asked since the last look."""
        calls = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("")
        return calls


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_first_start_makes_the_venv_and_installs_the_lock(copy: Copy) -> None:
    status, said = copy.set_up()
    assert (status, copy.calls()) == (0, ["venv", "pip runtime.lock", TORCH]), said
    assert (copy.root / ".venv" / "bin" / "twinport").is_symlink()


def test_what_was_installed_is_compiled(copy: Copy) -> None:
    copy.set_up()
    compiled = copy.log.with_name("calls.compiled").read_text().splitlines()
    packages = copy.root / ".venv" / "lib" / "python3.11" / "site-packages"
    assert compiled == 2 * [f"-m compileall -q -j 0 {packages}"], "after the lock and after torch"


def test_a_second_start_does_nothing_and_says_nothing(copy: Copy) -> None:
    copy.set_up()
    copy.calls()
    assert copy.set_up() == (0, "")
    assert copy.calls() == []


def test_a_changed_lock_is_installed_into_the_same_venv(copy: Copy) -> None:
    copy.set_up()
    copy.calls()
    copy.lock("runtime").write_text("runtime==2.0 --hash=sha256:11\n")
    assert copy.set_up()[0] == 0
    assert copy.calls() == ["pip runtime.lock"]


def test_the_lock_of_the_checks_is_enough_for_a_start(copy: Copy) -> None:
    copy.set_up("dev")
    assert copy.calls() == ["venv", "pip dev.lock", TORCH]
    copy.set_up("runtime")
    assert copy.calls() == []


def test_the_checks_install_what_a_start_did_not(copy: Copy) -> None:
    copy.set_up("runtime")
    copy.calls()
    copy.set_up("dev")
    assert copy.calls() == ["pip dev.lock"]


def test_an_installation_that_was_killed_is_made_anew(copy: Copy) -> None:
    copy.python(pip_also="kill -9 $PPID")
    assert copy.set_up()[0] != 0
    assert json.loads((copy.root / ".venv" / ".twinport-setup").read_text())["installing"] == "runtime"
    copy.python()
    copy.calls()
    status, said = copy.set_up()
    assert (status, copy.calls()) == (0, ["venv", "pip runtime.lock", TORCH])
    assert "never finished" in said


def test_a_venv_whose_making_was_killed_is_made_anew(copy: Copy) -> None:
    copy.python(venv_also="kill -9 $PPID")
    copy.set_up()
    copy.python()
    copy.calls()
    assert copy.set_up()[0] == 0
    assert copy.calls() == ["venv", "pip runtime.lock", TORCH]


def test_a_venv_whose_python_is_gone_is_made_anew(copy: Copy) -> None:
    copy.set_up()
    copy.calls()
    python = copy.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    assert copy.set_up()[0] == 0
    assert copy.calls() == ["venv", "pip runtime.lock", TORCH]


def test_a_venv_that_somebody_made_by_hand_is_kept(copy: Copy) -> None:
    copy.set_up()
    (copy.root / ".venv" / ".twinport-setup").unlink()
    kept = copy.root / ".venv" / "mine"
    kept.touch()
    copy.calls()
    assert copy.set_up()[0] == 0
    assert (copy.calls(), kept.exists()) == (["pip runtime.lock", TORCH], True)


def test_a_failed_installation_shows_why_and_the_next_start_tries_again(copy: Copy) -> None:
    copy.python(pip_also="echo 'ERROR: no route to the index'; exit 1")
    status, said = copy.set_up()
    assert status == 1
    assert "ERROR: no route to the index" in said
    assert "run the same command again" in said
    assert "Traceback" not in said
    copy.python()
    assert copy.set_up()[0] == 0


def test_two_set_ups_at_once_install_once(copy: Copy) -> None:
    copy.python(pip_also=f'while [ ! -e "{copy.path}/go-on" ]; do sleep 0.05; done')
    first = copy.start()
    while not copy.log.exists():
        assert first.poll() is None
        time.sleep(0.01)  # until the first one is at work
    second = copy.start()
    assert second.stdout
    assert "Another set-up is at work" in second.stdout.readline()
    (copy.path / "go-on").touch()
    outputs = [process.communicate(timeout=60) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert copy.calls() == ["venv", "pip runtime.lock", TORCH]


def torch_fails(*locks: str) -> str:
    """Return what the stand-in for pip does when these locks can't be installed."""
    names = "|".join(f"{name}.lock" for name in locks)
    return f'case "${{lock##*/}}" in {names}) echo "ERROR: No matching distribution found"; exit 1 ;; esac'


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one build of torch")
def test_without_the_build_of_torch_without_cuda_the_full_one_is_installed_and_the_way_to_it_told(copy: Copy) -> None:
    copy.python(pip_also=torch_fails("torch-cpu"))
    status, said = copy.set_up()
    assert (status, copy.calls()) == (0, ["venv", "pip runtime.lock", "pip torch-cpu.lock", "pip torch.lock"])
    assert "ERROR: No matching distribution found" in said
    assert "set PIP_EXTRA_INDEX_URL to the address of" in said
    assert (copy.set_up(), copy.calls()) == ((0, ""), [])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one build of torch")
def test_with_a_gpu_of_nvidias_the_build_with_cuda_is_installed(copy: Copy) -> None:
    copy.nvidia.mkdir()
    (copy.nvidia / "version").touch()
    assert copy.set_up()[0] == 0
    assert copy.calls() == ["venv", "pip runtime.lock", "pip torch.lock"]


def test_without_torch_it_says_what_is_off_and_the_next_start_tries_again(copy: Copy) -> None:
    copy.python(pip_also=f'[ -e "{copy.root}/mended" ] || {torch_fails("torch-cpu", "torch")}')
    status, said = copy.set_up()
    assert status == 0
    assert "documents are found by their words only, since torch is missing" in said
    (copy.root / "mended").touch()
    copy.calls()
    assert (copy.set_up()[0], copy.calls()) == (0, [TORCH])
    assert copy.set_up() == (0, "")


def test_torch_whose_installation_was_killed_is_installed_over_and_the_rest_is_kept(copy: Copy) -> None:
    kill = 'case "${lock##*/}" in torch*) kill -9 $PPID ;; esac'
    copy.python(pip_also=f'if [ -e "{copy.root}/mended" ]; then echo "$*" >>"{copy.log}"; else {kill}; fi')
    assert copy.set_up()[0] != 0
    (copy.root / "mended").touch()
    copy.calls()
    assert copy.set_up()[0] == 0
    asked = copy.calls()
    assert asked[0] == TORCH
    assert "--force-reinstall" in asked[1]
    assert len(asked) == 2


def test_a_changed_lock_of_torch_is_installed(copy: Copy) -> None:
    copy.set_up()
    copy.calls()
    for name in ("torch", "torch-cpu"):
        copy.lock(name).write_text("torch==2.0 --hash=sha256:11\n")
    assert (copy.set_up()[0], copy.calls()) == (0, [TORCH])


def test_no_hash_goes_unchecked(copy: Copy) -> None:
    copy.python(pip_also=f'echo "$*" >>"{copy.log}"')
    copy.set_up("dev")
    installs = [call for call in copy.calls() if "-m pip install" in call]
    assert len(installs) == 2
    assert all("--require-hashes" in call for call in installs)


def without_root(copy: Copy) -> None:
    (copy.path / "id").unlink()
    copy.program("id", "echo 1000")


def test_no_python_is_said_with_the_way_to_one_per_platform(copy: Copy) -> None:
    (copy.path / "python3").unlink()
    status, said = copy.set_up()
    assert status == 1
    assert "Twinport needs Python 3.11 to 3.14 and found none" in said
    assert "sudo apt-get install python3 python3-venv" in said
    assert "brew install python" in said


def test_an_old_python_is_named(copy: Copy) -> None:
    copy.program("python3", 'case "$*" in *ensurepip*) exit 4 ;; *) echo 3.9.2 ;; esac')
    status, said = copy.set_up()
    assert (status, "found none (python3 is 3.9.2)" in said) == (1, True)


def test_a_python_without_venv_is_told_from_a_missing_one(copy: Copy) -> None:
    without_root(copy)
    copy.program("python3", "exit 3")
    status, said = copy.set_up()
    assert (status, "sudo apt-get install python3-venv" in said) == (1, True)


def test_as_root_with_apt_a_missing_venv_module_is_installed(copy: Copy) -> None:
    (copy.path / "id").unlink()
    copy.program("id", "echo 0")
    stand_in = (copy.path / "python3").read_text()
    (copy.path / "good").write_text(stand_in)
    copy.program("python3", "exit 3")
    copy.program("apt-get", f'echo "apt $*" >>"{copy.log}"; cp "{copy.path}/good" "{copy.path}/python3"')
    status, said = copy.set_up()
    assert status == 0, said
    asked = copy.calls()
    assert any("install" in call and "python3-venv" in call for call in asked)
    assert asked[-3:] == ["venv", "pip runtime.lock", TORCH]


def test_a_python_off_the_path_is_used_when_named(copy: Copy, tmp_path: Path) -> None:
    shutil.move(copy.path / "python3", tmp_path / "my python")
    (tmp_path / "my python").chmod(stat.S_IRWXU)
    process = subprocess.run(
        ["bash", str(copy.root / "deploy" / "bootstrap.sh"), "runtime"],
        env={"PATH": str(copy.path), "PYTHON": str(tmp_path / "my python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert copy.calls() == ["venv", "pip runtime.lock", TORCH]


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_without_bubblewrap_it_says_which_feature_is_off_and_goes_on(copy: Copy) -> None:
    (copy.path / "bwrap").unlink()
    status, said = copy.set_up()
    assert status == 0
    assert "python_coder is off: bubblewrap is missing" in said


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")
def test_as_root_with_apt_bubblewrap_is_installed_and_tried_once_only(copy: Copy) -> None:
    (copy.path / "bwrap").unlink()
    copy.program("apt-get", f'echo "apt $*" >>"{copy.log}"; exit 100')
    copy.set_up()
    assert any("install --yes --no-install-recommends bubblewrap" in call for call in copy.calls())
    assert copy.set_up()[0] == 0
    assert copy.calls() == []


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")
def test_what_only_the_tests_start_is_installed_for_the_checks_and_not_started(copy: Copy) -> None:
    copy.program("apt-get", f'cat "{copy.policy}" && echo "apt $*" >>"{copy.log}"; exit 100')
    copy.set_up("runtime")
    assert not any("redis-server" in call for call in copy.calls())
    copy.set_up("dev")
    asked = copy.calls()
    assert any("install" in call and " curl redis-server" in call for call in asked), asked
    assert not copy.policy.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_where_nothing_can_be_installed_the_checks_say_which_tests_are_off(copy: Copy) -> None:
    _, said = copy.set_up("dev")
    assert "Note: the tests on a real Redis are off: Redis is missing." in said


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_the_sandbox_packages_are_fetched_once_and_again_when_their_lock_changes(copy: Copy) -> None:
    package = copy.root / "tools_api" / "sandbox"
    package.mkdir(parents=True)
    for module in (package.parent / "__init__.py", package / "__init__.py"):
        module.touch()
    (package / "packages.py").write_text(
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(exist_ok=True); (p / 'count').open('a').write('x')"
    )
    count = copy.root / ".venv" / "sandbox-packages" / "count"
    copy.set_up()
    copy.set_up()
    assert count.read_text() == "x"
    copy.lock("sandbox").write_text("sandbox==2.0 --hash=sha256:11\n")
    copy.set_up()
    assert count.read_text() == "xx"


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
def test_an_administrators_list_is_installed_and_what_failed_is_told_and_tried_again(copy: Copy) -> None:
    package = copy.root / "tools_api" / "sandbox"
    package.mkdir(parents=True)
    for module in (package.parent / "__init__.py", package / "__init__.py"):
        module.touch()
    (package / "packages.py").write_text(
        "import pathlib, sys\nfolder = pathlib.Path(sys.argv[1])\nfolder.mkdir(exist_ok=True)\n"
        "(folder / 'arguments').open('a').write(' '.join(sys.argv[2:]) + '\\n')\n"
        "lines = pathlib.Path(sys.argv[3]).read_text() if len(sys.argv) > 3 else ''\n"
        "if 'nowhere' in lines: print('could not install nowhere: no such package'); sys.exit(3)\n"
    )
    arguments = copy.root / ".venv" / "sandbox-packages" / "arguments"
    listed = copy.root / "sandbox-packages.txt"
    listed.write_text("nowhere\n")
    for _ in range(2):
        status, said = copy.set_up()
        assert status == 0
        assert "packages of sandbox-packages.txt are missing in python_coder; the next start tries again" in said
        assert "could not install nowhere: no such package" in said
    listed.write_text("scipy\n")
    copy.set_up()
    copy.set_up()
    assert arguments.read_text().splitlines() == 3 * [f"--requirements {listed}"]
    listed.unlink()
    copy.set_up()
    assert arguments.read_text().splitlines()[3:] == [""], "what is listed no longer goes"
    (copy.root / ".env").write_text("SANDBOX_PACKAGES=other.txt\n")
    assert "there is no file other.txt (SANDBOX_PACKAGES)" in copy.set_up()[1]


@pytest.mark.parametrize("text", ["SANDBOX_LEVELS=ns-seccomp,wasi", 'export SANDBOX_LEVELS="wasi, ns-seccomp"'])
def test_cpython_on_wasi_is_built_if_its_level_is_allowed(copy: Copy, text: str) -> None:
    package = copy.root / "tools_api" / "sandbox" / "wasi"
    package.mkdir(parents=True)
    for module in (package.parents[1], package.parent, package):
        (module / "__init__.py").touch()
    (package / "__main__.py").write_text("import pathlib, sys; pathlib.Path(sys.argv[2]).write_text(sys.argv[1])")
    copy.lock("wasi").write_text("wasi==1.0 --hash=sha256:00\n")
    copy.set_up()
    assert "pip wasi.lock" not in copy.calls()
    (copy.root / ".env").write_text(f"# levels\n{text}\n")
    status, said = copy.set_up()
    assert (status, copy.calls()) == (0, ["pip wasi.lock"]), said
    assert (copy.root / ".venv" / "sandbox-wasi").read_text() == "build"
    copy.set_up()
    assert copy.calls() == []


def test_a_failed_build_of_cpython_on_wasi_is_said_and_stops_nothing(copy: Copy) -> None:
    copy.lock("wasi").write_text("wasi==1.0 --hash=sha256:00\n")
    (copy.root / ".env").write_text("SANDBOX_LEVELS=wasi\n")
    status, said = copy.set_up()
    assert status == 0
    assert "can't use the sandbox level wasi" in said


def test_a_copy_without_its_lock_is_said_to_be_incomplete(copy: Copy) -> None:
    copy.lock("runtime").unlink()
    status, said = copy.set_up()
    assert (status, "deploy/locks/runtime.lock is missing" in said) == (1, True)
