"""The launcher from another folder, through a link, and without `.venv`."""

import os
import shutil
import subprocess
from pathlib import Path

from cli.terminal import version

ROOT = Path(__file__).resolve().parents[2]


def call(launcher: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(launcher), *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_it_runs_from_another_folder_and_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "twinport").symlink_to(os.path.relpath(ROOT / "twinport", tmp_path / "bin"))
    assert call(tmp_path / "bin" / "twinport", tmp_path, "--version").stdout == f"twinport {version()}\n"


def test_a_file_named_like_a_module_in_the_callers_folder_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("raise SystemExit('imported the wrong file')")
    assert call(ROOT / "twinport", tmp_path, "env-example").returncode == 0


def test_without_a_venv_it_says_how_to_get_one(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    shutil.copy(ROOT / "twinport", folder)
    result = call(folder / "twinport", tmp_path)
    assert result.returncode == 1
    assert f"bash '{folder.resolve()}/deploy/bootstrap.sh' runtime" in result.stderr


def test_start_servers_help_names_every_flag_of_serve_without_setting_anything_up(tmp_path: Path) -> None:
    shutil.copy(ROOT / "start_servers.sh", tmp_path)
    result = subprocess.run(
        ["bash", "start_servers.sh", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    serve = call(ROOT / "twinport", tmp_path, "serve", "--help").stdout
    flags = {word.strip(",") for word in serve.split() if word.startswith("--")}
    assert flags >= {"--port", "--tools-port", "--data-dir", "--host", "--tools-only", "--main-only", "--help"}
    assert all(flag in result.stdout for flag in flags)
