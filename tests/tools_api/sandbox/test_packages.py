"""Installing the sandbox's packages, with a wheel made here: no network."""

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from tools_api.sandbox.packages import InstallFailed, install, installed_names, is_current

_TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
NO_INDEX = ("--no-index", "--find-links")


def _wheel(folder: Path, version: str) -> str:
    """Make a wheel of a package called numpy; return its requirement line with its hash."""
    path = folder / f"numpy-{version}-py3-none-any.whl"
    files = {
        "numpy/__init__.py": f"__version__ = {version!r}\n",
        f"numpy-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: numpy\nVersion: {version}\n",
        f"numpy-{version}.dist-info/WHEEL": _TAGS,
    }
    record = f"numpy-{version}.dist-info/RECORD"
    lines = [f"{name},sha256={_digest(text)},{len(text)}" for name, text in files.items()]
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**files, record: "\n".join([*lines, f"{record},,"])}.items():
            wheel.writestr(name, text)
    return f"numpy=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def test_packages_are_installed_once_and_again_when_the_lock_changes(tmp_path: Path) -> None:
    lock, target = tmp_path / "sandbox.lock", tmp_path / "packages"
    options = (*NO_INDEX, str(tmp_path))
    lock.write_text(_wheel(tmp_path, "1.0"))
    assert install(target, lock=lock, pip_options=options)
    assert not install(target, lock=lock, pip_options=options)
    assert installed_names(target) == ("numpy",)
    lock.write_text(_wheel(tmp_path, "2.0"))
    assert not is_current(target, lock=lock)
    assert install(target, lock=lock, pip_options=options)
    assert "2.0" in (target / "numpy/__init__.py").read_text()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["packages"]


def test_a_wheel_with_another_hash_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    lock, target = tmp_path / "sandbox.lock", tmp_path / "packages"
    good = _wheel(tmp_path, "1.0")
    lock.write_text(good[:-8] + "00000000\n")
    with pytest.raises(InstallFailed):
        install(target, lock=lock, pip_options=(*NO_INDEX, str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_every_user_may_read_what_is_installed(tmp_path: Path) -> None:
    lock, target = tmp_path / "sandbox.lock", tmp_path / "packages"
    lock.write_text(_wheel(tmp_path, "1.0"))
    before = os.umask(0o077)
    try:
        install(target, lock=lock, pip_options=(*NO_INDEX, str(tmp_path)))
    finally:
        os.umask(before)
    for path in (target, *target.rglob("*")):
        wanted = 0o005 if path.is_dir() else 0o004
        assert path.stat().st_mode & wanted == wanted, path


def test_without_a_folder_nothing_is_installed() -> None:
    assert installed_names(None) == ()
