"""An account takes what is its own along."""

import asyncio
from pathlib import Path

import pytest

from cli.accounts import Accounts
from config import load_settings
from main_api.sessions.service import SessionOptions, open_sessions


async def _chat(folder: Path, user_id: int) -> None:
    async with open_sessions(SessionOptions(folder=folder)) as sessions, sessions.turn(user_id) as turn:
        await turn.append_user({"role": "user", "content": "a private matter"})


@pytest.mark.slow
def test_deleting_an_account_deletes_its_conversations_and_nobody_elses(tmp_path: Path) -> None:
    accounts = Accounts(load_settings(data_dir=tmp_path))
    ada, eve = (accounts.create(name, "password123", role="user", email=None) for name in ("ada", "eve"))
    for account in (ada, ada, eve):
        asyncio.run(_chat(tmp_path / "sessions", account.id))
    assert accounts.delete("ada").conversations == 2
    left = [path.parent.name for path in (tmp_path / "sessions").rglob("*.jsonl")]
    assert left == [str(eve.id)]
