"""Folders that hostile code has filled: added up and removed."""

import os
import secrets
import sys
from pathlib import Path

import pytest

from tools_api.sandbox.landlock.folders import MAX_DEPTH, remove_tree, used

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")


def test_a_tree_of_any_depth_and_oddity_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    current = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=current)
        os.symlink("/etc", "link", dir_fd=current)
        os.mkfifo("fifo", dir_fd=current)
        child = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = child
    os.close(current)
    (top / "closed").mkdir()
    (top / "closed" / "inner").mkdir()
    (top / "closed").chmod(0)
    (top / ".moved-1").mkdir()
    (top / ".moved-2").write_text("in the way")
    remove_tree(top)
    assert not top.exists()
    assert Path("/etc/passwd").exists()


def test_sizes_are_added_up_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(secrets.token_bytes(1 << 20))
    (tmp_path / "link").symlink_to("/usr")
    found = used(tmp_path, most_entries=100)
    assert (found.entries, found.fathomed) == (3, True)
    assert 1 << 20 <= found.size < 2 << 20
    assert not used(tmp_path, most_entries=2).fathomed
    deep = tmp_path
    for _ in range(MAX_DEPTH + 2):
        deep /= "d"
        deep.mkdir()
    assert not used(tmp_path, most_entries=1000).fathomed
