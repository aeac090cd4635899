"""Where control groups can be made and what they count; version 2 on a copy of its files."""

import os
from pathlib import Path

from tools_api.sandbox.cgroup import CgroupV1, CgroupV2, find_cgroups
from tools_api.sandbox.limits import Limits

LIMITS = Limits(memory_bytes=1 << 30, processes=10)


def _own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "self"
    path.write_text(text)
    return path


def _v2(tmp_path: Path, subtree: str) -> Path:
    mount = tmp_path / "cgroup"
    (mount / "app.slice/twinport.service").mkdir(parents=True)
    (mount / "app.slice/cgroup.subtree_control").write_text(subtree)
    (mount / "cgroup.subtree_control").write_text("")
    return mount


def test_version_2_uses_a_folder_beside_the_services_own(tmp_path: Path) -> None:
    mount = _v2(tmp_path, "cpu memory pids")
    factory = find_cgroups(mount, _own(tmp_path, "0::/app.slice/twinport.service\n"))
    assert factory is not None
    group = factory.create(LIMITS)
    assert isinstance(group, CgroupV2)
    assert group.folder.parent.parent == mount / "app.slice"
    assert (group.folder / "memory.max").read_text() == str(1 << 30)


def test_version_2_without_the_memory_controller_is_not_used(tmp_path: Path) -> None:
    assert find_cgroups(_v2(tmp_path, "cpu"), _own(tmp_path, "0::/app.slice/twinport.service\n")) is None


def test_version_2_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("5")
    (tmp_path / "memory.peak").write_text("9")
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    (tmp_path / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    usage = CgroupV2(tmp_path).usage()
    assert (usage.memory_bytes, usage.peak_bytes, usage.cpu_s, usage.killed) == (5, 9, 1.5, True)


def test_version_1_uses_a_folder_below_the_services_own(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    (mount / "memory/system/service").mkdir(parents=True)
    (mount / "pids").mkdir()
    factory = find_cgroups(mount, _own(tmp_path, "4:memory:/system/service\n8:pids:/\n"))
    assert factory is not None
    group = factory.create(LIMITS)
    assert isinstance(group, CgroupV1)
    assert group.memory.parent.parent == mount / "memory/system/service"
    assert (group.memory / "memory.limit_in_bytes").read_text() == str(1 << 30)
    assert group.pids is not None
    assert (group.pids / "pids.max").read_text() == "18"


def test_what_a_killed_service_left_is_removed(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    stale = mount / "memory/twinport-sandbox-999999999-ab/run-1"
    living = mount / f"memory/twinport-sandbox-{os.getpid()}-ab"
    stale.mkdir(parents=True)
    living.mkdir()
    find_cgroups(mount, _own(tmp_path, "4:memory:/\n"))
    assert not stale.parent.exists()
    assert living.exists()


def test_where_there_are_none_there_are_none(tmp_path: Path) -> None:
    assert find_cgroups(tmp_path, tmp_path / "self") is None
    assert find_cgroups(tmp_path, _own(tmp_path, "0::/\n")) is None
