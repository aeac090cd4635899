"""Installs the packages that sandboxed code may import: numpy, pandas and matplotlib, from a lock file with hashes.

They live in a folder of their own, never in the service's site-packages: nothing of the service is visible inside.
`python -m tools_api.sandbox.packages TARGET` installs or updates them and does nothing when they are up to date.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools_api.sandbox.interpreter import abi_tag

LOCK = Path(__file__).parents[2] / "deploy" / "locks" / "sandbox.lock"
FONT_CACHE = ".matplotlib"
_STAMP = ".installed"
_MAKE_FONT_CACHE = "import sys; sys.path.insert(0, sys.argv[1]); import matplotlib.font_manager"


class InstallFailed(Exception):
    """pip or matplotlib did not do its part; its own words are on stderr."""


def install(target: Path, *, lock: Path = LOCK, pip_options: tuple[str, ...] = ()) -> bool:
    """Make `target` hold exactly what `lock` says, for this interpreter; return whether anything had to be done.

    The folder appears whole or not at all, readable by every user, because the sandbox's user is none of ours.
    Raises `InstallFailed`.
    """
    if is_current(target, lock=lock):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        _pip_install(draft, lock, pip_options)
        _make_font_cache(draft)
        (draft / _STAMP).write_text(_stamp(lock))
        _open_to_all(draft)
        _replace(target, draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def is_current(target: Path, *, lock: Path = LOCK) -> bool:
    """Say whether `target` holds what `lock` says, for this interpreter."""
    try:
        return (target / _STAMP).read_text() == _stamp(lock)
    except OSError:
        return False


def installed_names(target: Path | None) -> tuple[str, ...]:
    """List which of the advertised packages are in `target`."""
    if target is None:
        return ()
    return tuple(name for name in ("numpy", "pandas", "matplotlib") if (target / name / "__init__.py").is_file())


def main() -> int:
    """Install from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools_api.sandbox.packages", description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--lock", type=Path, default=LOCK)
    arguments = parser.parse_args()
    try:
        changed = install(arguments.target, lock=arguments.lock)
    except InstallFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"sandbox packages: {'installed' if changed else 'up to date'} in {arguments.target}\n")
    return 0


def _stamp(lock: Path) -> str:
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


def _replace(target: Path, draft: Path) -> None:
    old = target.with_name(f".{target.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
