"""`kill -9` at any moment: what was acknowledged is there, all else wholly or not at all, and nothing twice."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tools_api.rag.index.conftest import MODEL
from tests.tools_api.rag.index.crash_worker import NAMES, OPTIONS, version
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.words.view import words_opener

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("TWINPORT_TEST_CRASHES", "2"))
State = dict[int, set[int | None]]
"""By the number of a document the versions that it may have; None stands for "it is not there"."""


def killed_after(folder: Path, seed: int, acknowledged: int, delay_s: float) -> list[dict[str, Any]]:
    """Let the worker run until so many changes were acknowledged, and a moment longer; return what it said."""
    argv = [sys.executable, "-m", "tests.tools_api.rag.index.crash_worker", str(folder), str(seed)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        said: list[dict[str, Any]] = []
        while sum("done" in line for line in said) < acknowledged:
            said.append(json.loads(worker.stdout.readline()))
        try:
            worker.wait(timeout=delay_s)
        except subprocess.TimeoutExpired:
            worker.send_signal(signal.SIGKILL)
        said += [json.loads(line) for line in worker.stdout.read().splitlines()]
        assert worker.wait() == -signal.SIGKILL
    return said


def follow(state: State, said: list[dict[str, Any]]) -> None:
    """Bring the expectation up to what the worker said; its last change may have happened or not."""
    for at, line in enumerate(said):
        change: Mapping[int, int | None] = dict(line.get("put", [])) or dict.fromkeys(line.get("delete", []))
        sure = any("done" in later for later in said[at + 1 :])
        for name, seed in change.items():
            state[name] = {seed} if sure else state[name] | {seed}


async def check(index: CollectionIndex, state: State) -> None:
    stored = [each async for batch in index.iterate() for each in batch]
    there: dict[int, int] = {}
    for each in await index.documents():
        seed = int(each.record.sha256)
        name = int(each.record.id.removeprefix("doc_n"))
        there[name] = seed
        chunks = [chunk for chunk in stored if chunk.document.id == each.record.id]
        expected = version(name, seed)
        assert [chunk.chunk for chunk in chunks] == list(expected.chunks)
        assert [chunk.chunk_id for chunk in chunks] == list(range(each.first_chunk, each.first_chunk + each.chunks))
        for chunk, vector in zip(chunks, expected.vectors, strict=True):
            near = await index.search_dense(vector, 1, documents=[each.record.id])
            assert (near[0].chunk_id, round(near[0].score, 4)) == (chunk.chunk_id, 1)
        by_words = await index.search_words(f"canary{seed:08d}end", 1000, documents=[each.record.id])
        assert sorted(hit.chunk_id for hit in by_words) == [chunk.chunk_id for chunk in chunks]
    for name in range(NAMES):
        assert there.get(name) in state[name], f"n{name} has version {there.get(name)}, not one of {state[name]}"
        state[name] = {there.get(name)}
    assert len(stored) == sum(1 + seed % 4 for seed in there.values())
    everything = await index.search_dense(np.eye(1, MODEL.dimensions, dtype=np.float32)[0], 10_000)
    assert sorted(hit.chunk_id for hit in everything) == sorted(chunk.chunk_id for chunk in stored)


async def test_killed_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random()
    state: State = {name: {None} for name in range(NAMES)}
    seeds: set[int] = set()
    gone: set[int] = set()
    for turn in range(ROUNDS):
        said = await asyncio.to_thread(
            killed_after, tmp_path, turn + 1, chance.randrange(15, 30), chance.random() * chance.choice([0.003, 0.05])
        )
        follow(state, said)
        seeds |= {seed for line in said for _, seed in line.get("put", [])}
        indexes = Indexes(tmp_path, words_opener("english"), OPTIONS)
        await indexes.start()
        index = await indexes.existing("c")
        assert index is not None
        await check(index, state)
        await index.purge()
        content = b"\0".join(path.read_bytes() for path in index.folder.rglob("*") if path.is_file())
        gone = seeds - {seed for versions in state.values() for seed in versions if seed is not None}
        assert not [seed for seed in gone if f"canary{seed:08d}end".encode() in content]
        await indexes.aclose()
    assert len(gone) > 0
