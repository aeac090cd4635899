"""`twinport user` on a real database."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.accounts import Accounts
from cli.app import app
from config import load_settings
from main_api.auth.accounts import InvalidCredentials
from main_api.auth.service import AuthOptions, AuthService
from main_api.db import Database
from shared.errors import TwinportError
from tests.cli.pseudo_terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse 1"
User = Callable[..., Result]


@pytest.fixture
def user(tmp_path: Path, migrated_file: Path) -> User:
    shutil.copy2(migrated_file, tmp_path)

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, ["user", *arguments], env={"DATA_DIR": str(tmp_path)}, input=stdin)

    return run


def can_log_in(data_dir: Path, password: str) -> bool:
    async def log_in() -> bool:
        db = Database(load_settings(data_dir=data_dir).async_database_url)
        auth = AuthService(db, options=AuthOptions(jwt_secret="x" * 32, pepper="y" * 32))
        try:
            await auth.login(username="ada", password=password, address="127.0.0.1")
        except InvalidCredentials:
            return False
        finally:
            await auth.aclose()
            await db.aclose()
        return True

    return asyncio.run(log_in())


@pytest.mark.slow
def test_an_account_made_here_on_an_empty_folder_can_log_in(user: User, tmp_path: Path) -> None:
    (tmp_path / "twinport.db").unlink()
    result = user("create", "ada", "--role", "admin", "--password-stdin", stdin=PASSWORD + "\n")
    assert (result.exit_code, result.stdout) == (0, "Made the account ada (admin).\n")
    assert can_log_in(tmp_path, PASSWORD)


def test_without_a_role_an_account_of_a_script_is_a_user(user: User) -> None:
    assert "(user)" in user("create", "ada", "--password-stdin", stdin=PASSWORD).stdout


def test_the_list_shows_names_and_roles(user: User) -> None:
    assert "no accounts yet" in user("list").stdout
    user("create", "ada", "--role", "admin", "--password-stdin", stdin=PASSWORD)
    rows = [line.split() for line in user("list").stdout.splitlines()]
    assert rows[1][:3] == ["1", "ada", "admin"]


def test_a_new_password_replaces_the_old_one(user: User, tmp_path: Path) -> None:
    user("create", "ada", "--password-stdin", stdin=PASSWORD)
    assert user("passwd", "ada", "--password-stdin", stdin="another horse 2").exit_code == 0
    assert [can_log_in(tmp_path, password) for password in (PASSWORD, "another horse 2")] == [False, True]


def test_a_deleted_account_is_gone(user: User) -> None:
    user("create", "ada", "--password-stdin", stdin=PASSWORD)
    assert user("delete", "ada", "--yes").stdout == "Deleted the account ada and 0 of its conversations.\n"
    assert "no accounts yet" in user("list").stdout


def test_deleting_asks_first(user: User) -> None:
    user("create", "ada", "--password-stdin", stdin=PASSWORD)
    result = user("delete", "ada", stdin="n\n")
    assert (result.exit_code, "Nothing was deleted" in result.stderr) == (1, True)
    assert "ada" in user("list").stdout


@pytest.mark.parametrize("command", ["passwd", "delete"])
def test_an_unknown_name_is_said_before_anything_is_asked(user: User, command: str) -> None:
    result = user(command, "nobody")
    assert isinstance(result.exception, TwinportError)
    assert result.exception.message == "There is no user 'nobody'."


def test_a_weak_password_and_a_wrong_role_are_refused(user: User, tmp_path: Path) -> None:
    assert isinstance(user("create", "ada", "--password-stdin", stdin="short").exception, TwinportError)
    assert user("create", "ada", "--role", "king", "--password-stdin", stdin=PASSWORD).exit_code == 2
    assert Accounts(load_settings(data_dir=tmp_path)).all() == []


def test_without_a_terminal_nobody_is_asked_for_a_password(user: User) -> None:
    result = user("create", "ada")
    assert (result.exit_code, "--password-stdin" in result.stderr) == (2, True)


@pytest.mark.slow
def test_in_a_terminal_the_first_account_may_be_an_admin_and_the_password_is_asked_twice(tmp_path: Path) -> None:
    terminal = Terminal("user", "create", "ada", DATA_DIR=str(tmp_path))
    terminal.until("Shall it be an admin? [Y/n]: ")
    terminal.type("\n")
    terminal.until("password: ")
    terminal.type(PASSWORD + "\n")
    terminal.until("Repeat for confirmation: ")
    terminal.type(PASSWORD + "\n")
    assert PASSWORD not in terminal.until("Made the account ada (admin).")
    assert terminal.leave() == 0


@pytest.mark.slow
def test_an_error_of_the_tree_is_one_line(user: User, tmp_path: Path) -> None:
    terminal = Terminal("user", "delete", "nobody", DATA_DIR=str(tmp_path))
    assert terminal.until("\n") == "error: There is no user 'nobody'.\r\n"
    assert terminal.leave() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "status", "expected"),
    [
        ("nonsense", 2, "error: DATABASE_URL: "),
        ("postgresql://ada:secret@127.0.0.1:9/none", 1, "error: The database cannot be reached"),  # nobody is there
    ],
)
def test_a_database_that_cannot_be_used_is_one_line(tmp_path: Path, url: str, status: int, expected: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "user", "list"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("\n"), ended.stdout) == (status, 1, "")
    assert ended.stderr.startswith(expected)
    assert "secret" not in ended.stderr
