"""What the sessions' tests share: a store and a service on a fresh folder."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from main_api.sessions.records import StoredMessage, new_message_id, new_session_id
from main_api.sessions.service import SessionOptions, SessionService, open_sessions
from main_api.sessions.store import SessionStore

ALICE, BOB = 1, 2


def message(text: str, role: str = "user", turn: str = "t1", **fields: Any) -> StoredMessage:
    body = {"role": role, "content": text}
    return StoredMessage(id=new_message_id(), time=datetime.now(UTC), turn=turn, message=body, **fields)


def conversation(store: SessionStore, *texts: str, user_id: int = ALICE) -> str:
    """Store a session of questions and answers in turn; return its id."""
    session_id = new_session_id()
    store.create(user_id, session_id, message(texts[0]))
    for number, text in enumerate(texts[1:], start=1):
        role = "assistant" if number % 2 else "user"
        store.append(user_id, session_id, message(text, role, f"t{number // 2 + 1}"))
    return session_id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def store(folder: Path) -> Iterator[SessionStore]:
    opened = SessionStore(folder, sync=False)
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
async def sessions(folder: Path) -> AsyncIterator[SessionService]:
    async with open_sessions(SessionOptions(folder=folder, sync=False, max_waiting_turns=3)) as service:
        yield service
