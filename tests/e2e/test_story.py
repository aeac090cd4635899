"""The README's story: sign up, chat, compute with a tool, stream, find the conversation again after a restart."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.servers import Twinport

pytestmark = pytest.mark.slow

COMPUTE: Any = [{"role": "user", "content": "Calculate 12 * 7"}]


def test_the_whole_story(tmp_path: Path) -> None:
    twinport = Twinport(tmp_path / "data")
    twinport.start()
    try:
        session_id = _first_day(twinport)
    finally:
        assert twinport.stop() in {0, 130}
    seconds = twinport.start()
    try:
        _second_day(twinport, session_id)
    finally:
        twinport.stop()
    print(f"second start: healthy after {seconds:.1f} s")


def _first_day(twinport: Twinport) -> str:
    client = twinport.sdk(twinport.person("ada"))
    hello = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hello!"}])
    assert hello.choices[0].message.content

    computed = client.chat.completions.create(
        model="auto",
        messages=COMPUTE,
        extra_body={"agent_type": "react", "available_tools": ["calculator"]},
    )
    assert "84" in (computed.choices[0].message.content or "")
    extra = computed.model_extra or {}
    assert extra["tool_results"][0]["tool_name"] == "calculator"
    session_id = str(extra["session_id"])

    events = list(
        client.chat.completions.create(
            model="auto",
            messages=COMPUTE,
            stream=True,
            extra_body={"agent_type": "react", "session_id": session_id},
        )
    )
    kinds = [str((event.model_extra or {}).get("type")) for event in events if not event.choices]
    assert kinds.index("tool_call") < kinds.index("tool_result")
    text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    assert "84" in text
    assert "thought" not in text
    return session_id


def _second_day(twinport: Twinport, session_id: str) -> None:
    _, login = twinport.call("POST", "/api/auth/login", {"username": "ada", "password": "password123"})
    key = str(login["access_token"])
    status, sessions = twinport.call("GET", "/api/chat/sessions", key=key)
    assert status == 200
    assert session_id in orjson.dumps(sessions).decode()
    status, history = twinport.call("GET", f"/api/chat/history/{session_id}", key=key)
    assert status == 200
    assert [message["role"] for message in history["messages"]] == ["user", "assistant"] * 2  # type: ignore[union-attr]
    status, _ = twinport.call("GET", f"/api/chat/history/{session_id}", key=twinport.person("eve"))
    assert status == 404
