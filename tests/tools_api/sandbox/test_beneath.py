"""What lies below a folder is opened, what leads out of it is not; by the kernel's call and by hand alike."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tools_api.sandbox import beneath
from tools_api.sandbox.beneath import open_folder, read_beneath

Open = Callable[[int, str, int, int], int]
linux = pytest.mark.skipif(sys.platform != "linux", reason="openat2 and /proc are Linux's")


@pytest.fixture(params=[pytest.param("_openat2", marks=linux), "_walk"])
def open_it(request: pytest.FixtureRequest) -> Open:
    opens: Open = getattr(beneath, request.param)
    return lambda folder, path, flags, mode: opens(folder, path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("planted")
    folder = tmp_path / "workspace"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "sub" / "b").write_text("b")
    return folder


@pytest.fixture
def root(workspace: Path) -> Generator[int]:
    descriptor = open_folder(workspace)
    yield descriptor
    os.close(descriptor)


@linux
def test_this_kernel_has_the_call() -> None:
    assert beneath.has_openat2() is (tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 6))


@pytest.mark.parametrize(("path", "content"), [("a", b"a"), ("sub/b", b"b"), ("./sub//b", b"b")])
def test_what_lies_below_is_opened(open_it: Open, root: int, path: str, content: bytes) -> None:
    with os.fdopen(open_it(root, path, os.O_RDONLY, 0), "rb") as file:
        assert file.read() == content


@pytest.mark.parametrize(
    "path", ["../secret", "sub/../../secret", "/etc/passwd", "link", "linked/passwd", "linked/../a", "magic/environ"]
)
def test_what_leads_out_is_not(open_it: Open, workspace: Path, root: int, path: str) -> None:
    (workspace / "link").symlink_to(workspace.parent / "secret")
    (workspace / "linked").symlink_to("/etc")
    (workspace / "magic").symlink_to("/proc/self")
    before = _descriptors()
    with pytest.raises(OSError) as raised:
        open_it(root, path, os.O_RDONLY, 0)
    assert raised.value.errno in {errno.EXDEV, errno.ELOOP, errno.ENOTDIR}
    assert _descriptors() == before


def test_a_link_that_stays_inside_is_not_followed_either(open_it: Open, workspace: Path, root: int) -> None:
    (workspace / "link").symlink_to("a")
    with pytest.raises(OSError) as raised:
        open_it(root, "link", os.O_RDONLY, 0)
    assert raised.value.errno == errno.ELOOP


def test_a_new_file_is_made_where_no_link_is(open_it: Open, workspace: Path, root: int) -> None:
    os.close(open_it(root, "sub/new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    assert (workspace / "sub" / "new").stat().st_mode & 0o777 == 0o600
    (workspace / "trap").symlink_to(workspace.parent / "made")
    with pytest.raises(FileExistsError):
        open_it(root, "trap", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    assert not (workspace.parent / "made").exists()


def test_a_pipe_is_not_waited_for_and_not_read(workspace: Path, root: int) -> None:
    os.mkfifo(workspace / "pipe")
    assert read_beneath(root, "pipe", 10) is None
    assert read_beneath(root, "sub", 10) is None
    assert read_beneath(root, "gone", 10) is None


def test_reading_stops_one_byte_behind_its_limit(workspace: Path, root: int) -> None:
    (workspace / "long").write_bytes(bytes(100))
    assert read_beneath(root, "long", 9) == bytes(10)


@pytest.mark.slow
@linux
@pytest.mark.parametrize("name", ["_openat2", "_walk"])
def test_another_mount_is_not_entered(tmp_path: Path, name: str) -> None:
    """The same file system, bound below the folder: its device number would not tell."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root may mount")
    (tmp_path / "workspace" / "bound").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret").write_text("planted")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom tools_api.sandbox import beneath\n"
        "root = beneath.open_folder(Path(sys.argv[1]))\n"
        f"try: beneath.{name}(root, 'bound/secret', os.O_RDONLY, 0)\nexcept OSError as error: print(error.errno)"
    )
    script = 'mount --bind "$1/other" "$1/workspace/bound" && exec "$2" -c "$3" "$1/workspace"'
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount:" in ended.stderr or "unshare:" in ended.stderr:
        pytest.skip("mounts are forbidden here")
    assert ended.stdout.strip() == str(errno.EXDEV), ended.stderr


def _descriptors() -> set[str]:
    return {path.name for path in Path("/dev/fd").iterdir()}
