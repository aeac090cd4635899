"""What is quoted of a server's log: lines as the servers really write them."""

import io
import json
import logging
import sys
import traceback
from pathlib import Path

import pytest

from cli.last_words import last_words
from shared.logging import configure_logging

REQUEST = (
    '{"component":"access","method":"GET","path":"/x","status":200,"ms":12.29,"event":"request","service":"main_api",'
    '"request_id":"req_c9","timestamp":"2026-01-20T12:41:53.877Z","level":"info"}\n'
)
DATABASE = (
    '{"component":"db","kind":"ConnectionRefusedError","event":"database unreachable","service":"main_api",'
    '"request_id":"-","timestamp":"2026-01-20T12:41:58.784Z","level":"error"}\n'
)
GIVEN_UP = (
    '{"event": "Application startup failed. Exiting.", "service": "main_api", "request_id": "-", '
    '"timestamp": "2026-01-20T12:41:58.803Z", "level": "error"}\n'
)


class PromptError(Exception):
    pass


def words(tmp_path: Path, *written: str, before: str = "") -> str:
    log = tmp_path / "main.log"
    log.write_text(before + "".join(written))
    return last_words(log, len(before))


def break_down(message: str) -> None:
    raise PromptError(message) from KeyError("first")


def raised(message: str) -> str:
    """Return the text that uvicorn logs for a lifespan that failed."""
    try:
        break_down(message)
    except PromptError:
        return traceback.format_exc()
    raise AssertionError


def test_an_ordinary_line_is_its_event_with_its_fields(tmp_path: Path) -> None:
    checked = '{"component":"s","available":true,"level":"info","reason":null,"event":"sandbox_checked"}\n'
    assert words(tmp_path, REQUEST, checked) == "  request GET /x 200\n  sandbox_checked available=True"


def test_a_failed_lifespan_is_told_by_its_cause(tmp_path: Path) -> None:
    failure = json.dumps({"event": raised("The prompt file react.md is missing."), "level": "error"}) + "\n"
    told = words(tmp_path, DATABASE, failure, GIVEN_UP)
    assert told == (
        "  error: database unreachable kind=ConnectionRefusedError\n"
        "  error: PromptError: The prompt file react.md is missing."
    )


def test_that_the_start_failed_is_said_where_nothing_else_is(tmp_path: Path) -> None:
    assert words(tmp_path, GIVEN_UP) == "  error: Application startup failed. Exiting."


def test_a_logged_exception_is_its_type_and_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO()))
    configure_logging(service="main_api", level="info")
    logging.root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    try:
        break_down("no such file")
    except PromptError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    assert words(tmp_path, stream.getvalue()) == "  error: Exception in ASGI application: PromptError: no such file"


def test_what_python_itself_writes_is_cut_to_the_message(tmp_path: Path) -> None:
    assert words(tmp_path, raised("no such file")).splitlines()[-1].endswith("PromptError: no such file")
    assert "File" not in words(tmp_path, raised("no such file"))


def test_only_the_last_eight_lines_of_this_run_are_told(tmp_path: Path) -> None:
    assert words(tmp_path, REQUEST, before=DATABASE) == "  request GET /x 200"
    numbered = [REQUEST.replace("/x", f"/{number}") for number in range(20)]
    told = words(tmp_path, *numbered).splitlines()
    assert (told[0], told[-1]) == ("  request GET /12 200", "  request GET /19 200")


def test_a_traceback_longer_than_a_page_is_still_understood(tmp_path: Path) -> None:
    text = raised("It is the last that counts.").replace("    raise", "    raise" + " " * 60_000, 1)
    failure = json.dumps({"event": text, "level": "error"}) + "\n"
    assert words(tmp_path, failure) == "  error: PromptError: It is the last that counts."
