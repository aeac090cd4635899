"""What `serve` runs for which settings and flags."""

from pathlib import Path

import pytest

from cli.plan import make_plan, reachable
from config import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path, main_api_port=4001, tools_port=4002)


def names_and_environments(settings: Settings, **flags: bool) -> dict[str, dict[str, str]]:
    plan = make_plan(settings, **{"tools_only": False, "main_only": False, **flags})
    return {spec.command[-1]: dict(spec.environment) for spec in plan.specs()}


def changed(settings: Settings, **values: object) -> Settings:
    return settings.model_copy(update=values)


def test_the_tools_api_comes_first_and_the_main_api_is_told_where_it_is(settings: Settings) -> None:
    servers = names_and_environments(settings)
    assert list(servers) == ["tools_api", "main_api"]
    assert servers["main_api"]["TOOLS_HOST"] == "http://127.0.0.1:4002"
    assert servers["main_api"]["MAIN_API_PORT"] == "4001"
    assert servers["tools_api"]["DATA_DIR"] == str(settings.data_dir)


def test_on_all_interfaces_the_main_api_still_finds_the_tools(settings: Settings) -> None:
    servers = names_and_environments(changed(settings, host="0.0.0.0"))
    assert (servers["main_api"]["HOST"], servers["main_api"]["TOOLS_HOST"]) == ("0.0.0.0", "http://127.0.0.1:4002")


def test_main_only_keeps_the_url_of_tools_elsewhere(settings: Settings) -> None:
    servers = names_and_environments(changed(settings, tools_host="https://tools.example:8443"), main_only=True)
    assert list(servers) == ["main_api"]
    assert servers["main_api"]["TOOLS_HOST"] == "https://tools.example:8443"


def test_tools_only_runs_one_server(settings: Settings) -> None:
    assert list(names_and_environments(settings, tools_only=True)) == ["tools_api"]


def test_tools_elsewhere_without_a_flag_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        names_and_environments(changed(settings, tools_host="tools.example"))
    assert ended.value.code == 2
    assert "--main-only" in capsys.readouterr().err


def test_two_only_flags_are_refused(settings: Settings) -> None:
    with pytest.raises(SystemExit):
        names_and_environments(settings, tools_only=True, main_only=True)


def test_one_port_for_both_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        names_and_environments(changed(settings, tools_port=4001))
    assert "--port or --tools-port" in capsys.readouterr().err


def test_ipv6_addresses_are_bracketed_in_urls() -> None:
    assert [reachable("::"), reachable("::1"), reachable("0.0.0.0")] == ["[::1]", "[::1]", "127.0.0.1"]
