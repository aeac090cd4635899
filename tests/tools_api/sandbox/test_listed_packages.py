"""What an administrator lists is installed beside what the lock fixes, or told; with wheels made here: no network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools_api.sandbox.wheels import make_wheel
from tools_api.sandbox.listed_packages import UnusableList, read_list
from tools_api.sandbox.packages import Installed, install, installed_names

pytestmark = pytest.mark.slow


class Folders:
    """A lock with numpy, wheels to choose from, and a list of packages."""

    def __init__(self, top: Path) -> None:
        self.wheels, self.lock, self.list = top / "wheels", top / "sandbox.lock", top / "list.txt"
        self.target = top / "packages"

    def install(self, *lines: str) -> Installed:
        self.list.write_text("\n".join(lines))
        options = ("--no-index", "--find-links", str(self.wheels))
        return install(self.target, lock=self.lock, listed=read_list(self.list), pip_options=options)

    def has(self, path: str) -> bool:
        return (self.target / path).is_file()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the lock once; the tests work on copies."""
    folders = Folders(tmp_path_factory.mktemp("locked"))
    folders.wheels.mkdir()
    folders.lock.write_text(make_wheel(folders.wheels, "numpy", "2.0"))
    folders.install()
    return folders.target.parent


@pytest.fixture
def folders(tmp_path: Path, locked: Path) -> Folders:
    return Folders(Path(shutil.copytree(locked, tmp_path / "top")))


def test_a_listed_package_comes_with_the_lock_and_what_it_needs(folders: Folders) -> None:
    shutil.rmtree(folders.target)
    make_wheel(folders.wheels, "needed")
    make_wheel(folders.wheels, "wanted", needs="needed")
    assert folders.install("# ours", "wanted>=0.5  # the good one") == Installed(changed=True)
    assert folders.has("wanted/__init__.py")
    assert folders.has("needed/__init__.py")
    assert installed_names(folders.target) == ("numpy", "wanted")
    assert folders.install("wanted>=0.5") == Installed(changed=False)


def test_a_package_that_cannot_be_had_is_told_and_the_others_stay(folders: Folders) -> None:
    make_wheel(folders.wheels, "wanted")
    done = folders.install("nowhere-to-be-found", "wanted")
    assert list(done.failed) == ["nowhere-to-be-found"]
    assert "nowhere-to-be-found" in done.failed["nowhere-to-be-found"]
    assert installed_names(folders.target) == ("numpy", "wanted")


def test_a_package_that_failed_is_tried_again_and_the_rest_is_left_alone(folders: Folders) -> None:
    make_wheel(folders.wheels, "wanted")
    folders.install("wanted", "late")
    before = (folders.target / "wanted/__init__.py").stat().st_ino
    again = folders.install("wanted", "late")
    assert (again.changed, list(again.failed)) == (False, ["late"])
    make_wheel(folders.wheels, "late")
    assert folders.install("wanted", "late") == Installed(changed=True)
    assert installed_names(folders.target) == ("numpy", "late", "wanted")
    assert (folders.target / "wanted/__init__.py").stat().st_ino == before
    assert [path.name for path in folders.target.parent.iterdir() if path.name.startswith(".")] == []


def test_a_package_that_is_listed_no_longer_goes(folders: Folders) -> None:
    for name in ("one", "two"):
        make_wheel(folders.wheels, name)
    folders.install("one", "two")
    assert folders.install("two").changed
    assert installed_names(folders.target) == ("numpy", "two")
    assert not folders.has("one/__init__.py")


def test_a_hash_is_held_against_the_file(folders: Folders) -> None:
    good = make_wheel(folders.wheels, "good")
    bad = make_wheel(folders.wheels, "bad")[:-8] + "00000000"
    done = folders.install(good.replace(" --hash", " \\\n    --hash"), bad)
    assert list(done.failed) == [bad]
    assert "hash" in done.failed[bad].lower() or "MATCH" in done.failed[bad]
    assert installed_names(folders.target) == ("numpy", "good")


def test_a_line_with_a_hash_brings_nothing_that_has_none(folders: Folders) -> None:
    make_wheel(folders.wheels, "needed")
    line = make_wheel(folders.wheels, "wanted", needs="needed>=1")
    done = folders.install(line)
    assert done.failed == {line: "wanted needs needed: list it too, with its hashes"}
    assert not folders.has("needed/__init__.py")
    both = (line, make_wheel(folders.wheels, "needed"))
    assert folders.install(*both) == Installed(changed=True)


@pytest.mark.parametrize("hashed", [False, True])
def test_what_the_lock_has_fixed_stays(folders: Folders, hashed: bool) -> None:
    other = make_wheel(folders.wheels, "numpy", "3.0")
    line = other if hashed else "numpy==3.0"
    assert list(folders.install(line).failed) == [line]
    assert "2.0" in (folders.target / "numpy/__init__.py").read_text()


def test_packages_may_share_a_folder(folders: Folders) -> None:
    make_wheel(folders.wheels, "space-one", files={"space/one.py": "ONE = 1\n"})
    make_wheel(folders.wheels, "space-two", files={"space/two.py": "TWO = 2\n"})
    assert folders.install("space-one", "space-two") == Installed(changed=True)
    assert folders.has("space/one.py")
    assert folders.has("space/two.py")


def test_the_name_to_import_is_told_where_it_is_another_one(folders: Folders) -> None:
    make_wheel(folders.wheels, "scikit-learn", files={"sklearn/__init__.py": "", "tests/__init__.py": ""})
    folders.install("scikit-learn")
    assert installed_names(folders.target) == ("numpy", "scikit-learn (import sklearn)")


@pytest.mark.parametrize("line", ["-r other.txt", "--requirement=other.txt", "-e .", "-c other.txt"])
def test_what_a_list_cannot_say_is_refused_in_words(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.txt").write_text(line)
    with pytest.raises(UnusableList, match="write the packages themselves"):
        read_list(tmp_path / "list.txt")


def test_options_of_pip_hold_for_the_list(folders: Folders) -> None:
    elsewhere = folders.wheels.parent / "elsewhere"
    elsewhere.mkdir()
    make_wheel(elsewhere, "wanted")
    assert folders.install("--find-links elsewhere", "wanted") == Installed(changed=True)


def test_the_command_says_what_failed_and_ends_with_3(folders: Folders) -> None:
    folders.list.write_text(f"--no-index\n--find-links {folders.wheels}\nnowhere-to-be-found\n")
    command = ["-m", "tools_api.sandbox.packages", str(folders.target), "--lock", str(folders.lock)]
    ended = subprocess.run(
        [sys.executable, *command, "--requirements", str(folders.list)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert "could not install nowhere-to-be-found: " in ended.stderr
    missing = subprocess.run(
        [sys.executable, *command, "--requirements", "/nonexistent/list"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (missing.returncode, "can't be read" in missing.stderr) == (1, True)
