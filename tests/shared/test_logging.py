"""Log lines, as a process of its own writes them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def logged(code: str, *, level: str = "info") -> list[dict[str, Any]]:
    prelude = f"from shared.logging import *; import logging; configure_logging(service='test', level={level!r})\n"
    ended = subprocess.run(
        [sys.executable, "-c", prelude + code], cwd=ROOT, capture_output=True, timeout=30, check=True
    )
    assert ended.stdout == b""
    return [json.loads(line) for line in ended.stderr.decode().splitlines()]


def test_a_line_is_json_with_service_level_time_and_request_id() -> None:
    code = "from shared.request_id import bind_request_id; bind_request_id('req_7'); get_logger('x').info('hi', a=1)"

    (line,) = logged(code)

    assert (line["event"], line["service"], line["level"], line["request_id"], line["a"]) == (
        "hi",
        "test",
        "info",
        "req_7",
        1,
    )
    assert line["timestamp"].endswith("Z")


def test_a_librarys_lines_have_the_same_form() -> None:
    (line,) = logged("logging.getLogger('uvicorn.error').error('down: %s', 'x')")

    assert (line["event"], line["service"], line["level"]) == ("down: x", "test", "error")


def test_an_exception_is_one_line() -> None:
    (line,) = logged("try:\n    1 / 0\nexcept ZeroDivisionError:\n    get_logger('x').exception('failed')")

    assert line["exception"][0]["exc_type"] == "ZeroDivisionError"


def test_a_value_that_json_does_not_know_is_written_as_text() -> None:
    (line,) = logged("from pathlib import Path; get_logger('x').info('hi', where=Path('/a'))")

    assert line["where"] == "/a"


def test_half_a_character_or_a_huge_number_does_not_break_the_call_that_is_logged() -> None:
    lines = logged("log = get_logger('x'); log.info('a', odd='\\ud800'); log.info('b', big=10**30)")

    assert [line["event"] for line in lines] == ["a", "b"]
    assert lines[1]["big"] == 10**30


def test_the_values_of_local_variables_are_not_in_a_traceback() -> None:
    code = "def f():\n    key = 'canary'\n    1 / 0\ntry:\n    f()\nexcept ZeroDivisionError:\n"

    (line,) = logged(code + "    get_logger('x').exception('failed')")

    assert "ZeroDivisionError" in str(line)
    assert "canary" not in str(line)


def test_what_is_below_the_level_is_not_written() -> None:
    assert logged("get_logger('x').info('hi')", level="warning") == []
