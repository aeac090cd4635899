import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from main_api.backends.prompt_log import PromptLog, Turn
from main_api.events import ChoiceFinished, ReasoningDelta, TextDelta, ToolCallDelta, Usage, UsageReported
from shared.request_id import bind_request_id
from tests.yardstick import cost, small_chat_in_json


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "prompts.log"


@pytest.fixture
def log(path: Path) -> Iterator[PromptLog]:
    made = PromptLog(path)
    yield made
    made.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def turn(prompt: Any = "Hi", **fields: Any) -> Turn:
    return Turn(model="local/tiny", messages=[{"role": "user", "content": prompt}], options={"seed": 1}, **fields)


def counter(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def test_a_streamed_turn_becomes_one_line(log: PromptLog, path: Path) -> None:
    request_id = bind_request_id("req_test")
    events = [
        ReasoningDelta("Hm."),
        TextDelta("Hello"),
        TextDelta(" you"),
        ToolCallDelta(0, "call_1", "weather", '{"ci'),
        ToolCallDelta(0, arguments='ty": 1}'),
        ChoiceFinished("tool_calls"),
        UsageReported(Usage(3, 4)),
    ]
    log.write(turn(events=events))
    log.close()
    (line,) = lines(path)
    assert line["request_id"] == request_id
    assert line["model"] == "local/tiny"
    assert line["messages"] == [{"role": "user", "content": "Hi"}]
    assert line["options"] == {"seed": 1}
    assert (line["answer"], line["reasoning"]) == ("Hello you", "Hm.")
    assert line["tool_calls"] == [{"id": "call_1", "name": "weather", "arguments": '{"city": 1}'}]
    assert line["finish_reason"] == "tool_calls"
    assert line["usage"]["prompt_tokens"] == 3
    assert line["error"] is None
    assert line["ms"] >= 0
    assert line["time"].endswith("+00:00")


def test_a_relayed_stream_is_put_together_from_its_bytes(log: PromptLog, path: Path) -> None:
    stream = (
        b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Gr\xc3\xbc"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"\xc3\x9fe","tool_calls":[{"index":0,"id":"c","function":'
        b'{"name":"f","arguments":"{}"}}]}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
    )
    log.write(turn(chunks=[stream[at : at + 7] for at in range(0, len(stream), 7)]))
    log.close()
    (line,) = lines(path)
    assert line["answer"] == "Grüße"
    assert line["tool_calls"] == [{"id": "c", "name": "f", "arguments": "{}"}]
    assert line["finish_reason"] == "stop"
    assert line["usage"] == {"prompt_tokens": 5, "completion_tokens": 2}


def test_a_relayed_plain_answer_is_read(log: PromptLog, path: Path) -> None:
    log.write(turn(chunks=[b'{"choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}]}']))
    log.close()
    assert lines(path)[0]["answer"] == "Hello"


def test_the_file_is_its_owners_only_after_rotation_too(path: Path) -> None:
    log = PromptLog(path, max_bytes=1000, backups=2)
    for number in range(20):
        log.write(turn(f"prompt {number} " + "x" * 300))
    log.close()
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["prompts.log", "prompts.log.1", "prompts.log.2"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert all(file.stat().st_size <= 1000 for file in files)
    newest = [line["messages"][0]["content"][:9] for file in reversed(files) for line in lines(file)]
    assert newest[-1] == "prompt 19"
    assert newest == sorted(newest)


def test_an_existing_file_is_continued_and_made_private(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"old": true}\n')
    path.chmod(0o644)
    log = PromptLog(path)
    log.write(turn())
    log.close()
    assert [*lines(path)[0]] == ["old"]
    assert len(lines(path)) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_secrets_and_attachments_never_reach_the_file(log: PromptLog, path: Path) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "QUJD" * 500}}]
    record = turn("my key is sk-canary0123456789abcdef", error="Bearer canary12345678")
    record.messages = [*record.messages, {"role": "user", "content": parts}]
    record.events = [TextDelta("the key sk-can"), TextDelta("ary0123456789abcdef is yours")]
    log.write(record)
    log.close()
    text = path.read_text()
    assert "canary" not in text
    assert "QUJDQUJD" not in text
    assert "[image/png, 1500 bytes]" in text


def test_switched_off_it_writes_nothing(path: Path) -> None:
    log = PromptLog(path, enabled=False)
    log.write(turn())
    log.close()
    assert not path.exists()


def test_what_cannot_be_written_is_counted_and_the_next_one_is_written(log: PromptLog, path: Path) -> None:
    failed = counter("twinport_prompt_log_failed_total")
    nested: Any = []
    for _ in range(5000):
        nested = [nested]
    log.write(turn(chunks=[b'{"choices":[{"delta":"not an object"}]}']))
    log.write(turn(nested))
    log.write(turn("fine"))
    log.close()
    assert counter("twinport_prompt_log_failed_total") >= failed + 1
    assert lines(path)[-1]["messages"][0]["content"] == "fine"


def test_a_lone_surrogate_is_written_in_escapes(log: PromptLog, path: Path) -> None:
    log.write(turn("broken \ud83d emoji"))
    log.close()
    assert b"broken \\ud83d emoji" in path.read_bytes()


def test_a_folder_that_is_in_the_way_costs_lines_not_requests(tmp_path: Path) -> None:
    path = tmp_path / "prompts.log"
    path.mkdir()
    failed = counter("twinport_prompt_log_failed_total")
    log = PromptLog(path)
    log.write(turn())
    log.close()
    assert counter("twinport_prompt_log_failed_total") == failed + 1


@pytest.mark.parametrize("bounds", [{"max_waiting": 3}, {"max_waiting_bytes": 3500}])
def test_a_full_mailbox_drops_and_counts(path: Path, bounds: dict[str, int]) -> None:
    dropped = counter("twinport_prompt_log_dropped_total")
    log = PromptLog(path, **bounds)
    for _ in range(10):  # all within the writer's first tenth of a second
        log.write(turn())
    log.close()
    assert len(lines(path)) == 3
    assert counter("twinport_prompt_log_dropped_total") == dropped + 7


async def test_it_can_be_followed_while_it_is_written(log: PromptLog, path: Path) -> None:
    log.write(turn())
    async with asyncio.timeout(30):
        while not path.exists() or not path.read_bytes().endswith(b"\n"):
            await asyncio.sleep(0.02)
    assert len(lines(path)) == 1


def test_a_turn_costs_the_event_loop_less_than_a_small_chat_in_json(path: Path) -> None:
    log = PromptLog(path, max_waiting=100_000)
    record = turn("Calculate 12 * 7")
    record.events = [TextDelta("84")] * 50
    log.write(record)
    a_turn = cost(lambda: log.write(record), times=100)
    log.close()
    assert a_turn < small_chat_in_json()
