"""`twinport chat` against a small server with our wire format: one-shot, conversation, logins, sessions, Ctrl-C."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.instance import only_instance
from cli.ports import free_port
from tests.cli.conftest import PASSWORD, FakeApi
from tests.cli.pseudo_terminal import Terminal


def text(content: str) -> dict[str, Any]:
    return {"session_id": "ses_aa11", "choices": [{"index": 0, "delta": {"content": content}}]}


def chat(api: FakeApi, *arguments: str, key: str | None = "key-1", stdin: str | None = None) -> Result:
    environment = {"TWINPORT_URL": api.url, "TWINPORT_API_KEY": key or ""}
    return CliRunner().invoke(app, ["chat", *arguments], env=environment, input=stdin)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def login_file(home: Path) -> Path:
    return next(home.rglob("logins.json"))


def remember(home: Path, api: FakeApi, access: str, refresh: str) -> None:
    """Put a login where `chat` keeps it, as an earlier run would have."""
    from cli.credentials import Login, LoginFile

    folder = home / "twinport" if sys.platform != "darwin" else home / "Library/Application Support/twinport"
    login = Login(username="ada", access_token=access, refresh_token=refresh)
    LoginFile(folder / "logins.json").save(api.url, login)


def test_one_question_prints_the_answer_alone_on_stdout(api: FakeApi) -> None:
    api.chunks = [text("Hello"), text(" there")]
    result = chat(api, "hi")
    assert (result.exit_code, result.stdout) == (0, "Hello there\n")


@pytest.fixture
def without_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Name no server: the data folder alone says which one. The configured port has none."""
    monkeypatch.delenv("TWINPORT_URL", raising=False)
    monkeypatch.setenv("MAIN_API_PORT", str(free_port("127.0.0.1")))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return tmp_path


def test_the_server_of_this_data_folder_is_found_wherever_it_runs(api: FakeApi, without_address: Path) -> None:
    api.chunks = [text("Hello")]
    ask = ["chat", "hi", "--api-key", "key-1"]
    with only_instance(without_address) as instance:
        instance.remember([], main_url=api.url, tools_url=None)
        assert CliRunner().invoke(app, ask).stdout == "Hello\n"
        named = CliRunner().invoke(app, [*ask, "--url", "http://127.0.0.1:1"])
    assert "No server answers at http://127.0.0.1:1" in named.stderr
    assert f":{os.environ['MAIN_API_PORT']} " in CliRunner().invoke(app, ask).stderr


def test_the_question_carries_session_model_and_agent(api: FakeApi) -> None:
    chat(api, "hi", "--session", "ses_aa11", "--model", "local/x", "--agent", "react")
    assert api.seen == [
        {
            "model": "local/x",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": True,
            "store": True,
            "session_id": "ses_aa11",
            "agent_type": "react",
        }
    ]


def test_a_question_may_come_through_a_pipe(api: FakeApi) -> None:
    api.chunks = [text("ok")]
    assert chat(api, stdin="long\nquestion\n").stdout == "ok\n"
    assert api.seen[0]["messages"][0]["content"] == "long\nquestion"


def test_thoughts_and_tool_calls_go_to_stderr(api: FakeApi) -> None:
    api.chunks = [
        {"choices": [{"index": 0, "delta": {"reasoning_content": "A sum."}}]},
        {"choices": [], "type": "tool_call", "tool_name": "calculator", "arguments": {"expression": "2+2"}},
        {"choices": [], "type": "tool_result", "status": "completed", "result": {"success": True, "message": "4"}},
        text("It is 4."),
    ]
    result = chat(api, "2+2?")
    assert result.stdout == "It is 4.\n"
    assert result.stderr.splitlines() == ["A sum.", '→ calculator {"expression": "2+2"}', "← 4"]


def test_sources_are_numbered_as_the_answer_cites_them(api: FakeApi) -> None:
    found = [{"choices": [], "type": "source", "source": {"title": title}} for title in ("a.pdf, p. 2", "b.md")]
    api.chunks = [*found, text("It is so. [1]")]
    result = chat(api, "is it?")
    assert result.stdout == "It is so. [1]\n"
    assert result.stderr.splitlines() == ["[1] a.pdf, p. 2", "[2] b.md"]


def test_control_sequences_of_a_model_do_not_reach_the_terminal(api: FakeApi) -> None:
    api.chunks = [text("a\x1b]0;owned\x07b\x9b2J\r")]
    assert chat(api, "hi").stdout == "a]0;ownedb2J\n"


def test_an_error_in_the_stream_ends_with_its_sentence(api: FakeApi) -> None:
    api.chunks = [text("Half"), {"error": {"message": "The engine stopped.", "code": "upstream_error"}}]
    result = chat(api, "hi")
    assert (result.exit_code, result.stdout) == (1, "Half\n")
    assert result.stderr == "error: The engine stopped.\n"


def test_a_stream_that_breaks_off_is_no_whole_answer(api: FakeApi) -> None:
    api.chunks, api.cut_short = [text("Half")], True
    result = chat(api, "hi")
    assert result.exit_code == 1
    assert "ended before the answer did" in result.stderr


def test_a_wrong_key_is_refused_with_the_servers_sentence(api: FakeApi) -> None:
    result = chat(api, "hi", key="wrong")
    assert (result.exit_code, result.stderr) == (1, "error: This key or token is not valid.\n")


def test_no_server_is_one_sentence_that_says_how_to_start_it(api: FakeApi, unused_tcp_port: int) -> None:
    api.url = f"http://127.0.0.1:{unused_tcp_port}"
    result = chat(api, "hi")
    assert result.exit_code == 1
    assert "bash start_servers.sh" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_a_login_and_a_terminal_it_says_what_to_do(api: FakeApi, home: Path) -> None:
    result = chat(api, "hi", key=None)
    assert result.exit_code == 1
    assert "Not logged in" in result.stderr


def test_an_expired_token_is_refreshed_and_the_new_one_kept_privately(api: FakeApi, home: Path) -> None:
    api.chunks = [text("ok")]
    remember(home, api, "expired", api.refresh_token)
    assert chat(api, "hi", key=None).stdout == "ok\n"
    stored = json.loads(login_file(home).read_text())[api.url]
    assert stored["access_token"] in api.valid_tokens
    assert stored["refresh_token"] == api.refresh_token
    assert stat.S_IMODE(login_file(home).stat().st_mode) == 0o600


def test_a_login_that_ran_out_is_forgotten(api: FakeApi, home: Path) -> None:
    remember(home, api, "expired", "used-before")
    assert "Not logged in" in chat(api, "hi", key=None).stderr
    assert json.loads(login_file(home).read_text()) == {}


def test_sessions_are_listed(api: FakeApi) -> None:
    lines = chat(api, "--sessions").stdout.splitlines()
    assert [line.split() for line in lines] == [["ses_aa11", "4", "Sums"], ["ses_bb22", "2"]]


def terminal_with(api: FakeApi, home: Path, *, key: str | None = "key-1") -> Terminal:
    variables = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "TWINPORT_URL": api.url}
    return Terminal("chat", **variables, **({"TWINPORT_API_KEY": key} if key else {}))


def test_ctrl_c_stops_the_answer_and_not_the_program(api: FakeApi, home: Path) -> None:
    api.chunks, api.endless = [text("On and on")], True
    terminal = terminal_with(api, home)
    terminal.until("> ")
    terminal.type("go\n")
    terminal.until("On and on")
    terminal.type("\x03")
    terminal.until("(stopped)")
    terminal.until("> ")
    api.endless, api.chunks = False, [text("Again")]
    terminal.type("once more\n")
    terminal.until("Again")
    assert terminal.leave("/quit") == 0
    assert api.disconnects == 1


def test_a_conversation_logs_in_once_and_keeps_its_session(api: FakeApi, home: Path) -> None:
    api.chunks = [text("Hello")]
    terminal = terminal_with(api, home, key=None)
    terminal.until("> ")
    terminal.type("hi\n")
    terminal.until("name: ")
    terminal.type("ada\n")
    terminal.until("password: ")
    terminal.type(PASSWORD + "\n")
    assert PASSWORD not in terminal.until("Hello")
    terminal.until("> ")
    terminal.type("and now?\n")
    terminal.until("Hello")
    terminal.until("> ")
    assert terminal.leave("/quit") == 0
    assert [body.get("session_id") for body in api.seen] == [None, "ses_aa11"]


def test_a_session_is_opened_by_the_beginning_of_its_id(api: FakeApi, home: Path) -> None:
    terminal = terminal_with(api, home)
    terminal.until("> ")
    terminal.type("/open ses_a\n")
    assert "> 2 + 2?" in terminal.until("4.")
    terminal.type("/open nonsense\n")
    terminal.until("There is no such session.")
    terminal.until("> ")
    assert terminal.leave("/quit") == 0
