"""`kill -9` of a process that writes sessions, at random moments: what it acknowledged is there, no half line."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from main_api.sessions.store import SessionStore
from tests.main_api.sessions.conftest import ALICE, message

_WRITER = """
import os, random, sys
from pathlib import Path
from main_api.sessions.records import new_session_id
from main_api.sessions.store import SessionStore
from tests.main_api.sessions.conftest import ALICE, message

store = SessionStore(Path(sys.argv[1]), sync=False)
store.open()
chance = random.Random(int(sys.argv[2]))
session_id = None
while True:
    text = "x" * chance.choice([10, 300, 5_000, 3_000_000])
    if session_id is None or chance.random() < 0.2:
        session_id, stored = new_session_id(), message(text)
        store.create(ALICE, session_id, stored)
    else:
        stored = message(text, chance.choice(["user", "assistant"]))
        store.append(ALICE, session_id, stored)
    os.write(1, f"ack {session_id} {stored.id}\\n".encode())
"""


def kill_while_it_writes(folder: Path, seed: int) -> dict[str, list[str]]:
    """Return the acknowledged message ids by session."""
    child = subprocess.Popen([sys.executable, "-c", _WRITER, str(folder), str(seed)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    first = child.stdout.readline()  # it writes by now
    time.sleep(random.Random(seed).uniform(0, 0.05))  # the moment is the point here
    os.kill(child.pid, signal.SIGKILL)
    acknowledged = first + child.stdout.read()
    child.stdout.close()
    child.wait()
    acks: dict[str, list[str]] = {}
    for line in acknowledged.decode().splitlines():
        word, *ids = line.split()
        if word == "ack" and len(ids) == 2:
            acks.setdefault(ids[0], []).append(ids[1])
    return acks


def check_everything_acknowledged_is_there(folder: Path, acks: dict[str, list[str]]) -> None:
    store = SessionStore(folder, sync=False)
    store.open()
    for session_id, message_ids in acks.items():
        transcript = store.read(ALICE, session_id)
        found = [entry.id for entry in transcript.messages]
        assert found[: len(message_ids)] == message_ids
        assert len(found) <= len(message_ids) + 1  # one may be written whose acknowledgement was not
        assert transcript.unreadable == 0
        store.append(ALICE, session_id, message("after the crash"))
    listed = {info.id: info.message_count for info in store.page(ALICE, limit=100_000, offset=0).sessions}
    for session_id in acks:
        path = folder / str(ALICE) / f"{session_id}.jsonl"
        lines = path.read_bytes().split(b"\n")
        assert lines.pop() == b""
        records = [json.loads(line) for line in lines]
        assert listed[session_id] == sum(record["type"] == "message" for record in records)
    store.close()


def crash(folder: Path, rounds: range) -> None:
    acknowledged = 0
    for seed in rounds:
        acks = kill_while_it_writes(folder / str(seed), seed)
        check_everything_acknowledged_is_there(folder / str(seed), acks)
        acknowledged += sum(map(len, acks.values()))
    assert acknowledged >= len(rounds)


def test_a_few_kills_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    crash(folder, range(3))


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    crash(folder, range(1_000, 1_100))
