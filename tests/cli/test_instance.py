"""One instance per data folder, leftovers of a killed one, and ports that are taken."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.instance import DataFolderRefused, Running, end, only_instance, running
from cli.ports import PortUnusable, check_port, free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_second_instance_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    with only_instance(tmp_path) as first:
        first.remember([], main_url="http://127.0.0.1:4001", tools_url=None)
        expected = re.escape(f"http://127.0.0.1:4001 (process {os.getpid()})")
        with pytest.raises(DataFolderRefused, match=expected), only_instance(tmp_path):
            pass
    with only_instance(tmp_path) as again:
        assert again.left_behind() == []


def test_servers_of_a_killed_instance_are_recognised_and_ended(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    killed = (
        "import os, sys, pathlib; from cli.instance import only_instance\n"
        "with only_instance(pathlib.Path(sys.argv[1])) as i:\n"
        "    i.remember([int(sys.argv[2])], main_url='x', tools_url=None); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path), str(sleeper.pid)], cwd=ROOT, check=False)
    with only_instance(tmp_path) as instance:
        assert running(tmp_path) is None  # its servers may live; it does not
        left = instance.left_behind()
        assert [process.pid for process in left] == [sleeper.pid]
        end(left)
        assert not left[0].is_running()


def test_a_running_instance_is_found_by_its_data_folder(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    with only_instance(tmp_path) as instance:
        instance.remember([], main_url="http://127.0.0.1:4001", tools_url=None)
        assert running(tmp_path) == Running(pid=os.getpid(), main_url="http://127.0.0.1:4001", tools_url=None)
    assert running(tmp_path) is None


def test_the_record_of_a_process_whose_id_was_given_to_another_is_nobody_running(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    created = psutil.Process().create_time() - 1000
    record = {"pid": os.getpid(), "created": created, "main_url": "http://127.0.0.1:4001", "tools_url": None}
    (tmp_path / "run" / "serve.json").write_text(json.dumps(record))
    assert running(tmp_path) is None


def test_a_reused_process_id_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    (tmp_path / "run").mkdir()
    created = psutil.Process(sleeper.pid).create_time() - 1000
    record = f'{{"servers": [{{"pid": {sleeper.pid}, "created": {created}}}]}}'
    (tmp_path / "run" / "serve.json").write_text(record)
    with only_instance(tmp_path) as instance:
        assert instance.left_behind() == []


@pytest.mark.parametrize("record", ['{"servers": [', "[1]", '{"pid": "x", "created": 1}', '{"pid": -1}'])
def test_a_broken_record_is_no_obstacle(tmp_path: Path, record: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "serve.json").write_text(record)
    assert running(tmp_path) is None
    with only_instance(tmp_path) as instance:
        assert instance.left_behind() == []


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expected = r"DATA_DIR: .* cannot be written .*--data-dir"
    with pytest.raises(DataFolderRefused, match=expected), only_instance(tmp_path / "file"):
        pass


def test_a_taken_port_names_its_holder_and_the_flag() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortUnusable, match=rf"Port {port}, wanted for the main API.*--port") as refused:
            check_port("127.0.0.1", port, purpose="main API", flag="--port")
    if sys.platform == "linux":
        assert f"process {os.getpid()}" in str(refused.value)
    check_port("127.0.0.1", port, purpose="main API", flag="--port")


def test_a_foreign_address_names_the_variable() -> None:
    with pytest.raises(PortUnusable, match=r"HOST: 192\.0\.2\.7 is no address of this machine"):
        check_port("192.0.2.7", free_port("127.0.0.1"), purpose="main API", flag="--port")
