"""Builds CPython on WASI for this machine: a component with the standard library inside, compiled to native code.

componentize-py, which has CPython for WASI, is needed for that alone; runs need wasmtime. A folder that holds the
result is current as long as it was built from the same sources, for the same wasmtime, on the same kind of machine.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMPILED = "python.cwasm"
BUILD_COMMAND = "python -m tools_api.sandbox.wasi build"
_STAMP = ".built"
_GUEST = Path(__file__).parent / "guest"
_CHILD = Path(__file__).parent / "child"
_SOURCES = (_GUEST / "guest.py", _GUEST / "world.wit", _CHILD / "instance.py")
_COMPONENTIZE = "import componentize_py; componentize_py.script()"
_COMPILE = """
import sys
sys.path.insert(0, sys.argv[1])
from instance import make_engine
from wasmtime.component import Component
with open(sys.argv[3], "wb") as file:
    file.write(Component.from_file(make_engine(), sys.argv[2]).serialize())
"""


class BuildFailed(Exception):
    """The interpreter could not be built; the message says what to do, the tool's own words are on stderr."""


def is_current(artefact: Path) -> bool:
    """Say whether `artefact` holds what `build` would make now."""
    try:
        return (artefact / _STAMP).read_text() == _stamp() and (artefact / COMPILED).is_file()
    except (OSError, PackageNotFoundError):
        return False


def build(artefact: Path) -> bool:
    """Make `artefact` hold the interpreter; return whether anything had to be done. Takes a minute or two.

    The folder appears whole or not at all, readable by every user. Raises `BuildFailed`.
    """
    if is_current(artefact):
        return False
    _need_packages()
    artefact.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=artefact.parent, prefix=f".{artefact.name}-"))
    try:
        component = draft / "python.wasm"
        _componentize(component, draft)
        _run([sys.executable, "-c", _COMPILE, str(_CHILD), str(component), str(draft / COMPILED)], dict(os.environ))
        component.unlink()
        (draft / _STAMP).write_text(_stamp())
        draft.chmod(0o755)  # the runs' user is none of ours
        shutil.rmtree(artefact, ignore_errors=True)
        draft.rename(artefact)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def _componentize(target: Path, folder: Path) -> None:
    # It takes in the packages of the virtual environment that it finds; an empty one keeps ours out.
    nothing = folder / "nothing"
    (nothing / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages").mkdir(parents=True)
    options = ["--quiet", "--wit-path", str(_GUEST / "world.wit"), "--world", "guest"]
    paths = ["--python-path", str(_GUEST), "--output", str(target)]
    command = [sys.executable, "-c", _COMPONENTIZE, *options, "componentize", "guest", *paths]
    _run(command, {**os.environ, "VIRTUAL_ENV": str(nothing)})
    shutil.rmtree(nothing)


def _run(command: list[str], env: dict[str, str]) -> None:
    if subprocess.run(command, check=False, env=env, cwd=_GUEST, stdin=subprocess.DEVNULL).returncode != 0:
        raise BuildFailed("CPython on WASI could not be built; the sandbox level wasi will be off")


def _need_packages() -> None:
    for name in ("wasmtime", "componentize-py"):
        try:
            version(name)
        except PackageNotFoundError:
            raise BuildFailed(
                f"{name} is not installed: pip install --require-hashes --no-deps -r deploy/locks/wasi.lock"
            ) from None


def _stamp() -> str:
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()
    return f"wasmtime {version('wasmtime')} {sys.platform} {platform.machine()} {digest}"
