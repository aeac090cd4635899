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

_WRITERS = """
import os, random, sys
from pathlib import Path
from main_api.sessions.records import new_session_id
from main_api.sessions.store import SessionStore
from tests.main_api.sessions.conftest import ALICE, message

def write(folder, seed):
    store = SessionStore(Path(folder), sync=False)
    store.open()
    chance = random.Random(seed)
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

for order in sys.stdin:
    seed, folder = order.rstrip().split(" ", 1)
    child = os.fork()
    if child == 0:
        os.write(1, f"writer {os.getpid()}\\n".encode())
        write(folder, int(seed))
    os.waitpid(child, 0)
    os.write(1, b"ended\\n")
"""


class Writers:
    """A process that forks a writer for each round: importing everything anew would take longer than the round."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _WRITERS]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def kill_while_one_writes(self, folder: Path, seed: int) -> dict[str, list[str]]:
        """Return the acknowledged message ids by session."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seed} {folder}\n")
        writer = int(self._process.stdout.readline().removeprefix("writer "))
        acknowledged = [self._process.stdout.readline()]  # it writes by now
        time.sleep(random.Random(seed).uniform(0, 0.05))  # the moment is the point here
        os.kill(writer, signal.SIGKILL)
        while acknowledged[-1] != "ended\n":
            acknowledged.append(self._process.stdout.readline())
        acks: dict[str, list[str]] = {}
        for line in acknowledged[:-1]:
            word, session_id, message_id = line.split()
            assert word == "ack"
            acks.setdefault(session_id, []).append(message_id)
        return acks

    def close(self) -> None:
        self._process.communicate()


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
    writers = Writers()
    for seed in rounds:
        acks = writers.kill_while_one_writes(folder / str(seed), seed)
        check_everything_acknowledged_is_there(folder / str(seed), acks)
        acknowledged += sum(map(len, acks.values()))
    writers.close()
    assert acknowledged >= len(rounds)


def test_a_few_kills_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    crash(folder, range(3))


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    crash(folder, range(1_000, 1_100))
