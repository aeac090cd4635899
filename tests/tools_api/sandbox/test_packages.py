"""Installing the sandbox's packages, with a wheel made here: no network."""

import os
from pathlib import Path

import pytest

from tests.tools_api.sandbox.wheels import make_wheel
from tools_api.sandbox.packages import InstallFailed, install, installed_names, is_current

NO_INDEX = ("--no-index", "--find-links")


@pytest.mark.slow
def test_packages_are_installed_once_and_again_when_the_lock_changes(tmp_path: Path) -> None:
    lock, target = tmp_path / "sandbox.lock", tmp_path / "packages"
    options = (*NO_INDEX, str(tmp_path))
    lock.write_text(make_wheel(tmp_path, "numpy", "1.0"))
    assert install(target, lock=lock, pip_options=options).changed
    assert not install(target, lock=lock, pip_options=options).changed
    assert installed_names(target) == ("numpy",)
    lock.write_text(make_wheel(tmp_path, "numpy", "2.0"))
    assert not is_current(target, lock=lock)
    assert install(target, lock=lock, pip_options=options).changed
    assert "2.0" in (target / "numpy/__init__.py").read_text()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["packages"]


@pytest.mark.slow
def test_a_wheel_with_another_hash_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    lock, target = tmp_path / "sandbox.lock", tmp_path / "packages"
    good = make_wheel(tmp_path, "numpy", "1.0")
    lock.write_text(good[:-8] + "00000000")
    with pytest.raises(InstallFailed):
        install(target, lock=lock, pip_options=(*NO_INDEX, str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_every_user_may_read_what_is_installed(tmp_path: Path) -> None:
    lock, target = tmp_path / "sandbox.lock", tmp_path / "packages"
    lock.write_text(make_wheel(tmp_path, "numpy", "1.0"))
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
