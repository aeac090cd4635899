"""The settings as text are complete, current and valid."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.settings_text import env_example, settings_table
from config import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_checked_in_env_example_is_current() -> None:
    assert (ROOT / ".env.example").read_text() == env_example(), "run: ./twinport env-example > .env.example"


def test_every_setting_has_its_line_and_its_purpose() -> None:
    documented = re.findall(r"^# (\S.*)\n#([A-Z_0-9]+)=", env_example(), re.MULTILINE)
    assert [name for _, name in documented] == [name.upper() for name in Settings.model_fields]
    assert all(purpose != "None" for purpose, _ in documented)


def test_the_example_uncommented_says_the_defaults(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(re.sub(r"^#([A-Z_0-9]+=)", r"\1", env_example(), flags=re.MULTILINE))
    read = Settings(_env_file=env)  # pyright: ignore[reportCallIssue]
    assert read == Settings(_env_file=None)  # pyright: ignore[reportCallIssue]


@pytest.fixture(scope="module")
def table() -> str:
    return settings_table()


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_the_table_has_a_row_for(name: str, table: str) -> None:
    assert re.search(rf"^\| `{name.upper()}` \|[^|]*\| \S[^|]*\|$", table, re.MULTILINE)


def test_a_wrong_value_is_one_line_that_names_the_variable(tmp_path: Path) -> None:
    environment = {"MAIN_API_PORT": "seventy", "DATA_DIR": str(tmp_path)}
    result = CliRunner().invoke(app, ["serve"], env=environment)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: MAIN_API_PORT: ")
    assert result.stderr.count("\n") == 1
