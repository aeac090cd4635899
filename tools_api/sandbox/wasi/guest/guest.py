"""What CPython on WASI runs: takes a job, makes its scripts importable, and runs its script as the supervisor would.

componentize-py imports this module once, at build time, and keeps the memory that results. So the standard library is
taken in here, as compiled code: at run time there is no file that it could come from. What programs use most is
imported now and costs a run nothing.
"""

from __future__ import annotations

import _thread
import functools
import gc
import importlib
import importlib.util
import marshal
import os
import posix
import random
import sys
import threading
from pathlib import Path
from types import ModuleType

import wit_world  # made by componentize-py from world.wit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from importlib.machinery import ModuleSpec
    from typing import Any, NoReturn

WORKSPACE = "/workspace"
_STDLIB = "/python"
_LEFT_OUT = {
    *("test", "idlelib", "tkinter", "turtledemo", "turtle", "ensurepip", "venv", "lib2to3", "pydoc_data"),
    *("antigravity", "site-packages", "__pycache__", "__phello__"),
}
_IMPORTED_NOW = (
    "abc argparse array ast asyncio base64 binascii bisect calendar cmath collections.abc contextlib copy csv "
    "dataclasses datetime decimal difflib encodings.ascii encodings.idna encodings.latin_1 encodings.utf_16 enum errno "
    "fractions functools glob graphlib gzip hashlib heapq hmac html.parser inspect io ipaddress itertools json keyword "
    "linecache locale logging math numbers operator os pathlib pickle pprint queue random re secrets shlex shutil "
    "signal site socket sqlite3 statistics string struct tempfile textwrap threading time timeit tokenize traceback "
    "types typing unicodedata urllib.parse urllib.request uuid warnings weakref xml.etree.ElementTree zipfile zlib "
    "zoneinfo"
)


class WitWorld(wit_world.WitWorld):
    """The world's exports, under the name that componentize-py looks for."""

    def run(self, job: bytes) -> None:
        """Run a job; does not return before the script ends."""
        fields, contents = _unframed(job)
        scripts = {path: contents[number] for number, path in enumerate(v for k, v in fields if k == "module")}
        os.environ.update({value.partition("=")[0]: value.partition("=")[2] for key, value in fields if key == "env"})
        _start_afresh()
        sys.meta_path.insert(0, _TreeFinder(scripts))
        path = next(value for key, value in fields if key == "script")
        namespace: dict[str, Any] = {"__name__": "__main__", "__file__": path}
        exec(compile(scripts[path], path, "exec"), namespace)  # noqa: S102 - the tool's own script
        namespace["main"](contents[-1], wit_world.report)
        _leave(0)


class _CodeLoader:
    """Executes a module from its compiled code."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._load(), module.__dict__)  # noqa: S102 - the library's, or a script of the job's


class _StdlibFinder:
    """Finds the modules of the standard library in memory."""

    def __init__(self, modules: Mapping[str, tuple[bool, bytes]]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        found = self._modules.get(name)
        if found is None:
            return None
        is_package, code = found
        load = functools.partial(marshal.loads, code)
        return _spec(name, load, f"{_STDLIB}/{name.replace('.', '/')}", is_package=is_package)


class _TreeFinder:
    """Finds the scripts of a job: each by the name of its file, whatever folder it is said to be in."""

    def __init__(self, scripts: Mapping[str, bytes]) -> None:
        self._paths = {path.rpartition("/")[2].removesuffix(".py"): path for path in scripts}
        self._scripts = scripts

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        found = self._paths.get(name)
        if found is None:
            return None
        return _spec(name, lambda: compile(self._scripts[found], found, "exec"), found, is_package=False)


def _spec(name: str, load: Callable[[], Any], origin: str, *, is_package: bool) -> ModuleSpec:
    loader: Any = _CodeLoader(load)
    spec = importlib.util.spec_from_loader(name, loader, origin=origin, is_package=is_package)
    if spec is None:
        raise ImportError(name)
    return spec


def _unframed(job: bytes) -> tuple[list[tuple[str, str]], list[bytes]]:
    """Undo the host's `framed`: the fields, then the contents that their `size` fields announce."""
    size = int.from_bytes(job[:8], "big")
    parts = job[8 : 8 + size].decode().split("\0")
    fields = list(zip(parts[::2], parts[1::2], strict=True))
    contents: list[bytes] = []
    start = 8 + size
    for length in (int(value) for key, value in fields if key == "size"):
        contents.append(job[start : start + length])
        start += length
    return fields, contents


def _start_afresh() -> None:
    """Undo what the build has fixed for all runs."""
    os.chdir(WORKSPACE)
    for module in (os, posix):
        setattr(module, "_exit", _leave)  # noqa: B010 - which a script's process ends with
    random.seed()


def _no_thread(*_arguments: object, **_options: object) -> NoReturn:
    raise RuntimeError("threads are not available in this sandbox: do one thing after the other")


def _leave(status: int) -> NoReturn:
    wit_world.leave(status)
    raise SystemExit(status)  # never reached: the host has ended the process


def _stdlib() -> dict[str, tuple[bool, bytes]]:
    modules: dict[str, tuple[bool, bytes]] = {}
    for name, path in _sources(Path(_STDLIB), ""):
        is_package = name.endswith(".__init__")
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        modules[name.removesuffix(".__init__")] = (is_package, marshal.dumps(code))
    return modules


def _sources(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        if path.name in _LEFT_OUT or path.stem in _LEFT_OUT:
            continue
        if path.suffix == ".py":
            yield f"{prefix}{path.stem}", path
        elif (path / "__init__.py").is_file():
            yield from _sources(path, f"{prefix}{path.name}.")


def _forbid_threads() -> None:
    for module, name in (
        (_thread, "start_new_thread"),
        (_thread, "start_joinable_thread"),
        (threading, "_start_joinable_thread"),
    ):
        setattr(module, name, _no_thread)


for _name in _IMPORTED_NOW.split():
    importlib.import_module(_name)
sys.meta_path.insert(0, _StdlibFinder(_stdlib()))
sys.path[:] = []
_forbid_threads()
gc.collect()
gc.freeze()  # a collection would write to every page, and every page written to is a copy
