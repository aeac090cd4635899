"""Secrets that are made once."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.secrets import load_or_create_secret


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"

    first = load_or_create_secret(path)

    assert len(bytes.fromhex(first)) == 32
    assert load_or_create_secret(path) == first


def test_only_the_services_user_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    load_or_create_secret(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"

    with ThreadPoolExecutor(16) as pool:
        secrets = set(pool.map(lambda _: load_or_create_secret(path), range(64)))

    assert len(secrets) == 1
    assert [file.name for file in path.parent.iterdir()] == ["key"]


def test_two_names_are_two_secrets(tmp_path: Path) -> None:
    assert load_or_create_secret(tmp_path / "a") != load_or_create_secret(tmp_path / "b")
