"""Run a small program that the model wrote and see what it prints.

A child process with limits on time, memory and file size, in a folder of its own that is thrown away; the standard
library only, and a stand-in for matplotlib that takes every call. It is no sandbox: the files of the machine can be
read, the network can be reached. The product's own sandbox belongs to the other process.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_WALL_S: Final = 20.0
_SHOWN: Final = 4_000
_PROGRAM: Final = "program.py"
_RUNNER: Final = f"""
import contextlib, runpy, sys
try:
    import resource
except ImportError:
    pass
else:
    for kind, most in (("CPU", 5), ("AS", 1 << 29), ("FSIZE", 1 << 20)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{{kind}}"), (most, most))
sys.path[:0] = [".stand_ins"]
runpy.run_path("{_PROGRAM}", run_name="__main__")
"""
_STAND_IN: Final = """
class _Anything:
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self
    def __call__(self, *args, **kwargs):
        return self
    def __getitem__(self, key):
        return self
    def __iter__(self):
        return iter((self, self))
    def __enter__(self):
        return self
    def __exit__(self, *error):
        return None


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Anything()
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended and what it printed."""

    ended_well: bool
    printed: str
    complaint: str = ""


def run(code: str, files: Mapping[str, str]) -> Ran:
    """Run `code` beside `files` (blocking; at most some seconds)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, {**files, _PROGRAM: code})
        output, complaints = folder / ".stdout", folder / ".stderr"
        with output.open("wb") as stdout, complaints.open("wb") as stderr:
            try:
                ended = subprocess.run(
                    (sys.executable, "-I", "-S", "-B", "-c", _RUNNER),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=folder,
                    env={"LANG": "C.UTF-8", "PYTHONUTF8": "1"},
                    timeout=_WALL_S,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                return Ran(ended_well=False, printed=_text(output), complaint="it took too long")
        return Ran(ended_well=ended == 0, printed=_text(output), complaint=_last_line(_text(complaints)))


def draws(code: str) -> bool:
    """Tell whether a program at least compiles and names matplotlib."""
    try:
        compile(code, _PROGRAM, "exec")
    except (SyntaxError, ValueError):
        return False
    return "matplotlib" in code


def _write(folder: Path, files: Mapping[str, str]) -> None:
    library = folder / ".stand_ins" / "matplotlib"
    library.mkdir(parents=True)
    for module in ("__init__", "pyplot"):
        (library / f"{module}.py").write_text(_STAND_IN, encoding="utf-8")
    for name, text in files.items():
        (folder / Path(name).name).write_text(text, encoding="utf-8", errors="replace")


def _text(path: Path) -> str:
    return path.read_bytes()[:_SHOWN].decode("utf-8", errors="replace")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
