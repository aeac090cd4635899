"""`twinport doctor`: each check told a sound machine from a broken one."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import machine_checks, part_checks
from cli.app import app
from cli.instance import only_instance
from cli.ports import free_port
from config import Settings, load_settings
from shared.http_client import create_http_session
from tests.cli.conftest import FakeApi


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ports = {"main_api_port": free_port("127.0.0.1"), "tools_port": free_port("127.0.0.1")}
    return load_settings(data_dir=tmp_path / "data", **ports)


def copy_with_setup(folder: Path, **state: Any) -> Path:
    lock = folder / "deploy" / "locks" / "runtime.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("a==1\n")
    (folder / ".venv").mkdir()
    known = {"installing": None, "locks": {"runtime": hashlib.sha256(lock.read_bytes()).hexdigest()}, **state}
    (folder / ".venv" / ".twinport-setup").write_text(json.dumps(known))
    return folder


def test_packages_as_locked_are_ok(tmp_path: Path) -> None:
    root = copy_with_setup(tmp_path)
    assert machine_checks.packages(root, str(root / ".venv")).state == "ok"


@pytest.mark.parametrize("state", [{"installing": "runtime"}, {"locks": {"runtime": "0" * 64}}, {"locks": {}}])
def test_packages_of_an_old_lock_or_half_installed_are_broken(tmp_path: Path, state: dict[str, Any]) -> None:
    root = copy_with_setup(tmp_path, **state)
    finding = machine_checks.packages(root, str(root / ".venv"))
    assert (finding.state, "bootstrap.sh" in finding.advice) == ("broken", True)


def test_a_misspelt_name_in_env_is_found(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# comment\nMAIN_API_PORT=1\nexport OLAMA_MODEL=x\n")
    finding = machine_checks.env_file(tmp_path)
    assert (finding.state, finding.detail.endswith("called: OLAMA_MODEL")) == ("broken", True)


def test_an_env_file_with_known_names_is_ok(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAIN_API_PORT=1\n#OLAMA=2\n")
    assert machine_checks.env_file(tmp_path).state == "ok"


def test_secrets_that_others_can_read_are_found(settings: Settings) -> None:
    secrets = settings.data_dir / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "jwt_secret_key").touch(0o600)
    assert machine_checks.data_folder(settings).state == "ok"
    (secrets / "tools_api_key").touch()
    (secrets / "tools_api_key").chmod(0o644)
    finding = machine_checks.data_folder(settings)
    assert (finding.state, "tools_api_key" in finding.detail, "jwt" in finding.detail) == ("broken", True, False)


def test_a_data_folder_below_a_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert machine_checks.data_folder(load_settings(data_dir=tmp_path / "file" / "data")).state == "broken"


async def test_a_server_that_does_not_run_is_off_and_a_foreign_one_broken(settings: Settings, api: FakeApi) -> None:
    async with create_http_session() as http:
        assert (await machine_checks.main_server(http, settings)).state == "off"
        foreign = settings.model_copy(update={"main_api_port": int(api.url.rpartition(":")[2])})
        assert "already in use" in (await machine_checks.main_server(http, foreign)).detail


async def test_servers_of_this_data_folder_are_looked_for_where_they_run(settings: Settings, api: FakeApi) -> None:
    api.has_health = True
    silent = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    async with create_http_session() as http:
        with only_instance(settings.data_dir) as instance:
            instance.remember([], main_url=api.url, tools_url=silent)
            main = await machine_checks.main_server(http, settings)
            tools = await machine_checks.tools_server(http, settings)
        stopped = await machine_checks.main_server(http, settings)
    assert (main.state, main.detail) == ("ok", f"answers at {api.url}, OK")
    assert (tools.state, f"no answer at {silent}" in tools.detail) == ("broken", True)
    assert (stopped.state, str(settings.main_api_port) in stopped.detail) == ("off", True)


async def test_tools_elsewhere_that_do_not_answer_are_broken(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"tools_host": f"http://127.0.0.1:{free_port('127.0.0.1')}"})
    async with create_http_session() as http:
        assert (await machine_checks.tools_server(http, elsewhere)).advice.endswith("correct TOOLS_HOST.")


async def test_a_database_that_is_not_there_yet_is_off(settings: Settings) -> None:
    assert (await part_checks.database(settings)).state == "off"


async def test_a_file_that_is_no_database_is_broken(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "twinport.db").write_bytes(b"not a database" * 100)
    assert (await part_checks.database(settings)).state == "broken"


async def test_providers_are_named_without_their_keys(settings: Settings) -> None:
    assert (await part_checks.providers(settings)).state == "off"
    keyed = load_settings(data_dir=settings.data_dir, openai_api_key="sk-secret-secret")
    finding = await part_checks.providers(keyed)
    assert (finding.detail, "secret" in str(finding)) == ("configured: openai", False)


def test_a_wrong_setting_is_a_finding_and_not_the_end(tmp_path: Path) -> None:
    environment = {"DATA_DIR": str(tmp_path), "MAIN_API_PORT": "seventy"}
    result = CliRunner().invoke(app, ["doctor", "--json"], env=environment)
    report = json.loads(result.stdout)
    assert (result.exit_code, report["ok"]) == (1, False)
    assert "MAIN_API_PORT" in report["findings"][-1]["detail"]


@pytest.mark.slow
def test_on_this_machine_the_bundled_model_answers(settings: Settings) -> None:
    environment = {
        "DATA_DIR": str(settings.data_dir),
        "MAIN_API_PORT": str(settings.main_api_port),
        "TOOLS_PORT": str(settings.tools_port),
    }
    result = CliRunner().invoke(app, ["doctor", "--json"], env=environment)
    found = {finding["part"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert found["engine"]["state"] == "ok", found["engine"]
    assert "answered in" in found["engine"]["detail"]
    if shutil.which("bwrap"):
        assert found["sandbox"]["state"] == "ok", found["sandbox"]
    assert [finding for finding in found.values() if finding["state"] == "broken"] == []
    assert result.exit_code == 0


async def test_the_encoder_is_off_without_its_packages_and_ok_with_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = await part_checks.encoder(settings)
    assert (finding.state, finding.detail) == ("ok", "all-MiniLM-L6-v2")
    monkeypatch.setattr(part_checks, "_ENCODER_PACKAGES", ("numpy", "no_such_package"))
    finding = await part_checks.encoder(settings)
    assert (finding.state, "no_such_package is missing" in finding.detail) == ("off", True)
    assert "bootstrap.sh" in finding.advice


async def test_the_encoder_of_another_api_needs_no_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_checks, "_ENCODER_PACKAGES", ("no_such_package",))
    remote = load_settings(data_dir=settings.data_dir, rag_embeddings_url="http://embeddings.example/v1")
    assert (await part_checks.encoder(remote)).state == "ok"
