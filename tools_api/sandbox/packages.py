"""Installs what sandboxed code may import: numpy, pandas, matplotlib and what reads documents, from a lock file with
hashes, and what an administrator lists beside them.

All live in a folder of their own, never in the service's site-packages: nothing of the service is visible inside.
`python -m tools_api.sandbox.packages [TARGET] [--requirements LIST]` installs or updates them and does nothing when
they are up to date. It ends with 1 if nothing could be done, with 3 if some of the listed packages could not be
installed; the others are there then, and the next call tries again. No run ever installs anything.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from tools_api.sandbox.interpreter import abi_tag
from tools_api.sandbox.listed_packages import (
    PackageList,
    UnusableList,
    add_packages,
    names_in,
    read_list,
    versions_in,
)

LOCK = Path(__file__).parents[2] / "deploy" / "locks" / "sandbox.lock"
TARGET = Path(sys.prefix) / "sandbox-packages"
"""Where the set-up puts them and the service looks for them."""
FONT_CACHE = ".matplotlib"
_LOCKED = {
    "numpy": "numpy",
    "pandas": "pandas",
    "matplotlib": "matplotlib",
    "openpyxl": "openpyxl",
    "docx": "python-docx (import docx)",
    "pptx": "python-pptx (import pptx)",
    "pypdfium2": "pypdfium2 (PDF)",
}
"""What of the lock matters to who writes code: the module, and what it is called."""
_STAMP = ".installed"
_MAKE_FONT_CACHE = "import sys; sys.path.insert(0, sys.argv[1]); import matplotlib.font_manager"


class InstallFailed(Exception):
    """pip or matplotlib did not do its part; its own words are on stderr."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation came to: whether anything changed, and which listed lines failed for which reason."""

    changed: bool
    failed: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What a folder holds: the lock's stamp, the lines of the list that are in it, their packages' names."""

    lock: str = ""
    lines: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def install(
    target: Path, *, lock: Path = LOCK, listed: PackageList | None = None, pip_options: tuple[str, ...] = ()
) -> Installed:
    """Make `target` hold what `lock` says and what is `listed`, for this interpreter.

    The folder appears whole or not at all, readable by every user, because the sandbox's user is none of ours.
    Raises `InstallFailed` if `lock` can't be installed; a listed package that can't be is told and left out.
    """
    listed = listed or PackageList()
    there = _read_stamp(target)
    afresh = there.lock != _stamp_of(lock) or not set(there.lines) <= set(listed.lines)
    todo = replace(listed, lines=tuple(line for line in listed.lines if afresh or line not in there.lines))
    if not afresh and not todo.lines:
        return Installed(changed=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        if afresh:
            _pip_install(draft, lock, pip_options)
            _make_font_cache(draft)
        else:
            shutil.copytree(target, draft, copy_function=_link, symlinks=True, dirs_exist_ok=True)
        failed = _add(draft, todo, listed, lock=lock, before=_Stamp() if afresh else there, pip_options=pip_options)
        changed = afresh or len(failed) < len(todo.lines)
        if changed:
            _open_to_all(draft)
            _replace(target, draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Installed(changed=changed, failed=failed)


def is_current(target: Path, *, lock: Path = LOCK) -> bool:
    """Say whether `target` holds what `lock` says, for this interpreter."""
    return _read_stamp(target).lock == _stamp_of(lock)


def installed_names(target: Path | None) -> tuple[str, ...]:
    """List which packages are in `target`, to be told to models: those of the lock that matter, and the listed ones."""
    if target is None:
        return ()
    locked = tuple(name for module, name in _LOCKED.items() if (target / module / "__init__.py").is_file())
    return locked + tuple(name for name in _read_stamp(target).names if name not in locked)


def main() -> int:
    """Install from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools_api.sandbox.packages", description=__doc__)
    parser.add_argument("target", type=Path, nargs="?", default=TARGET)
    parser.add_argument("--lock", type=Path, default=LOCK)
    parser.add_argument(
        "--requirements", type=Path, help="an administrator's list: requirement lines as pip takes them"
    )
    arguments = parser.parse_args()
    try:
        listed = read_list(arguments.requirements) if arguments.requirements else None
        done = install(arguments.target, lock=arguments.lock, listed=listed)
    except (InstallFailed, UnusableList) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for line, reason in done.failed.items():
        sys.stderr.write(f"could not install {line.split(' --hash')[0]}: {reason}\n")
    sys.stderr.write(f"sandbox packages: {'installed' if done.changed else 'up to date'} in {arguments.target}\n")
    return 3 if done.failed else 0


def _add(
    draft: Path, todo: PackageList, listed: PackageList, *, lock: Path, before: _Stamp, pip_options: tuple[str, ...]
) -> dict[str, str]:
    """Add the listed packages, and write down what the folder holds then."""
    locked = () if before.lock else tuple(versions_in(draft))
    failed = add_packages(draft, todo, pip_options=pip_options) if todo.lines else {}
    stamp = {
        "lock": _stamp_of(lock),
        "locked": list(locked) or _read(draft).get("locked", []),
        "lines": [line for line in listed.lines if line not in failed],
    }
    stamp["names"] = list(names_in(draft, without=stamp["locked"]))
    (draft / _STAMP).unlink(missing_ok=True)  # it may be the old folder's own file
    (draft / _STAMP).write_text(json.dumps(stamp))
    return failed


def _read_stamp(target: Path) -> _Stamp:
    known = _read(target)
    return _Stamp(str(known.get("lock", "")), tuple(known.get("lines", ())), tuple(known.get("names", ())))


def _read(target: Path) -> dict[str, Any]:
    try:
        known: Any = json.loads((target / _STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", known) if isinstance(known, dict) else {}


def _stamp_of(lock: Path) -> str:
    return f"{abi_tag()} {hashlib.sha256(lock.read_bytes()).hexdigest()}"


def _pip_install(target: Path, lock: Path, options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    locked = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(lock)]
    result = subprocess.run([*command, *locked, "--target", str(target), *options], check=False)
    if result.returncode != 0:
        raise InstallFailed("pip could not install the sandbox's packages; python_coder will do without them")
    shutil.rmtree(target / "bin", ignore_errors=True)


def _make_font_cache(target: Path) -> None:
    """Let matplotlib list the fonts once; a missing list costs each plot 110 ms."""
    if not (target / "matplotlib").is_dir():
        return
    with tempfile.TemporaryDirectory() as home:
        result = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _MAKE_FONT_CACHE, str(target)],
            env={"HOME": home, "MPLCONFIGDIR": str(target / FONT_CACHE), "PATH": os.defpath},
            check=False,
        )
    if result.returncode != 0:
        raise InstallFailed("matplotlib does not work with this interpreter")


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o444 | (0o111 if path.is_dir() else 0))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without links
        shutil.copy2(source, target, follow_symlinks=False)


def _replace(target: Path, draft: Path) -> None:
    old = target.with_name(f".{target.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
