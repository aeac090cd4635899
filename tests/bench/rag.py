"""What a collection costs: questions over bare FAISS, memory, and adding a document to a small and to a large one.

    python -m tests.bench.rag [--sizes 1000,10000,100000] [--kinds Flat,IVF,HNSW] [--folder DIR]
                              [--parts query,memory,update,ingestion]

Collections are filled with made-up text and vectors (`synthetic_chunks.py`), ten chunks a document, and with the index
of words that the product has. Those in `--folder` are kept and used again by the next run; a million chunks take about
7 GB there, and 3 GB of memory.

* query: the median of searches by vector through `CollectionIndex` and of bare FAISS on the same vectors, in turns, and
  how many of the exact best ten each finds. Goal: less than 2 ms added at 100,000.
* memory: of a fresh process with the collection open and searched, over what it took before.
* update: time and written bytes (/proc/self/io) of one document of ten chunks, the median of 20, and apart what is done
  in the background afterwards. Goal: the same at a thousand and a million chunks within a factor of two.
* ingestion: passages a second of a whole tools server over sentence-transformers alone (`rag_ingestion.py`), if asked
  for by `--parts`. Goal: 0.85.
"""

import argparse
import asyncio
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tests.bench.synthetic_chunks import CHUNKS_PER_DOCUMENT, DIMENSIONS, Synthetic
from tools_api.rag.index import kinds
from tools_api.rag.index.collection import CollectionIndex
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.segment_rows import vectors_in
from tools_api.rag.index.values import VectorModel
from tools_api.rag.values import IndexType
from tools_api.rag.words.view import words_opener

MODEL = VectorModel("synthetic", DIMENSIONS)
MIB = 2**20
DOCUMENTS_AT_ONCE = 1000
FILLING_AT_ONCE = 3


@asynccontextmanager
async def collection(folder: Path, size: int, kind: str) -> AsyncGenerator[CollectionIndex]:
    """Open the collection of that size, with its larger segments of that kind."""
    indexes = Indexes(folder, words_opener("english"))
    await indexes.start()
    try:
        index = await indexes.open(f"chunks-{size}", MODEL, cast("IndexType", kind))
        await index.set_index_type(cast("IndexType", kind))
        await index.settle()
        yield index
    finally:
        await indexes.aclose()


async def fill(folder: Path, size: int) -> None:
    """Make the collection of that size, unless an earlier run did."""
    async with collection(folder, size, "Flat") as index:
        wanted, there = size // CHUNKS_PER_DOCUMENT, (await index.stats()).documents
        if there == wanted:
            return
        making, started = Synthetic(seed=1), time.perf_counter()
        filling: set[asyncio.Task[None]] = set()
        for first in range(0, wanted, DOCUMENTS_AT_ONCE):
            documents = list(making.documents(first, min(DOCUMENTS_AT_ONCE, wanted - first)))
            if first + DOCUMENTS_AT_ONCE * (1 + FILLING_AT_ONCE) <= there:
                continue  # an earlier run came so far
            filling.add(asyncio.create_task(index.put_many(documents)))
            if len(filling) == FILLING_AT_ONCE:
                done, filling = await asyncio.wait(filling, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.gather(*done)
        await asyncio.gather(*filling)
        took = time.perf_counter() - started
        await index.settle()
        stats = await index.stats()
        rate, waited = (size - there * CHUNKS_PER_DOCUMENT) / took, time.perf_counter() - started - took
        print(
            f"filled {size}: {rate:,.0f} chunks/s, {waited:.0f} s until settled, "
            f"{stats.bytes / MIB:,.0f} MiB on the disk, {stats.segments} segments, {stats.head} vectors in the head",
            flush=True,
        )


# Questions


def exact(vectors: NDArray[np.float32], ids: NDArray[np.int64], queries: NDArray[np.float32]) -> list[set[int]]:
    scores = vectors @ queries.T
    return [set(ids[np.argpartition(-column, 9)[:10]].tolist()) for column in scores.T]


def bare_search(index: Any, kind: str, query: NDArray[np.float32]) -> NDArray[np.int64]:
    """Search a bare index with the figures that a segment of its size is searched with."""
    return kinds.search(index, cast("IndexType", kind), query, k=10, mask=None, allowed=index.ntotal)[0]


async def compare(folder: Path, size: int, kind: str, questions: int) -> None:
    async with collection(folder, size, kind) as index:
        await index.stats()
        opened = index._opened
        assert opened is not None
        ids, vectors = await opened.read(lambda db: vectors_in(db, (0, 2**62), DIMENSIONS))
        queries = Synthetic(seed=2).vectors(questions)
        best = exact(vectors, ids, queries)
        bare = await asyncio.to_thread(kinds.build, vectors, cast("IndexType", kind), lambda: False)
        del vectors
        gc.collect()
        took: dict[str, list[float]] = {"bare": [], "ours": []}
        recall: dict[str, list[float]] = {"bare": [], "ours": []}
        for turn, (query, among) in enumerate(zip(queries, best, strict=True)):
            for way in ("bare", "ours") if turn % 2 else ("ours", "bare"):
                started = time.perf_counter()
                if way == "bare":
                    found = set(ids[bare_search(bare, kind, query)].tolist())
                else:
                    found = {hit.chunk_id for hit in await index.search_dense(query, 10)}
                took[way].append((time.perf_counter() - started) * 1000)
                recall[way].append(len(found & among) / 10)
        ours, theirs = (statistics.median(took[way][questions // 10 :]) for way in ("ours", "bare"))
        print(
            f"{kind:4} {size:8} bare {theirs:8.2f} ms  ours {ours:8.2f} ms  added {ours - theirs:6.2f} ms   "
            f"recall@10 bare {np.mean(recall['bare']):.3f}  ours {np.mean(recall['ours']):.3f}",
            flush=True,
        )


# Memory, in a process of its own


def memory() -> dict[str, int]:
    rows = (line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows}


async def measure_memory(folder: Path, size: int, kind: str) -> None:
    indexes = Indexes(folder, words_opener("english"))
    await indexes.start()
    warm = await indexes.open("empty", MODEL, "Flat")
    await warm.put_many(list(Synthetic().documents(0, 1)))
    queries = Synthetic(seed=3).vectors(200)
    await warm.search_dense(queries[0], 10)
    before = memory()
    index = await indexes.open(f"chunks-{size}", MODEL, cast("IndexType", kind))
    for query in queries:
        await index.chunks([hit.chunk_id for hit in await index.search_dense(query, 10)])
    await index.search_words("bada keke", 10)
    gc.collect()
    after, stats = memory(), await index.stats()
    per = 100_000 / stats.chunks / MIB
    anonymous = (after["Anonymous"] - before["Anonymous"]) * per
    mapped = (after["Rss"] - after["Anonymous"] - before["Rss"] + before["Anonymous"]) * per
    print(
        f"{kind:4} {size:8} per 100,000 chunks: {anonymous:6.1f} MiB of its own, {mapped:6.1f} MiB mapped from files",
        flush=True,
    )
    await indexes.remove("empty")
    await indexes.aclose()


# Updates


def written() -> int:
    rows = (line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(dict(rows)["write_bytes"])


async def update(folder: Path, size: int, kind: str, rounds: int) -> tuple[float, float]:
    async with collection(folder, size, kind) as index:
        await index.stats()
        added = list(Synthetic(seed=4).documents(10**9, rounds + 3))
        await index.put_many(added[:3])  # opens the writer of the index of words
        took: list[float] = []
        sizes: list[float] = []
        for item in added[3:]:
            before, started = written(), time.perf_counter()
            await index.put_many([item])
            took.append((time.perf_counter() - started) * 1000)
            sizes.append((written() - before) / 1024)
        before, started = written(), time.perf_counter()
        await index.delete([item.record.id for item in added])
        await index.purge()
        print(
            f"{kind:4} {size:8} add a document: {statistics.median(took):7.1f} ms, {statistics.median(sizes):7.0f} KiB "
            f"(removing {len(added)} and purging: {time.perf_counter() - started:.1f} s, "
            f"{(written() - before) / MIB:.0f} MiB)",
            flush=True,
        )
        return statistics.median(took), statistics.median(sizes)


async def bench(folder: Path, options: argparse.Namespace) -> None:
    parts, kinds_wanted = options.parts.split(","), options.kinds.split(",")
    costs: dict[str, dict[int, tuple[float, float]]] = {kind: {} for kind in kinds_wanted}
    for size in [int(size) for size in options.sizes.split(",")]:
        await fill(folder, size)
        for kind in kinds_wanted:
            if kind == "HNSW" and size > options.hnsw_upto:
                continue
            if "query" in parts:
                await compare(folder, size, kind, options.questions)
            if "memory" in parts:
                argv = [sys.executable, "-m", "tests.bench.rag", "--folder", str(folder), "--measure", f"{kind}-{size}"]
                await asyncio.to_thread(subprocess.run, argv, check=True)
            if "update" in parts:
                costs[kind][size] = await update(folder, size, kind, options.rounds)
    for kind, by_size in costs.items():
        if len(by_size) > 1:
            (small, little), (large, much) = by_size[min(by_size)], by_size[max(by_size)]
            sizes = f"{max(by_size)} over {min(by_size)}"
            print(f"{kind}: {sizes}: time {large / small:.2f}, bytes {much / little:.2f} (goal: at most 2)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--kinds", default="Flat,IVF,HNSW")
    parser.add_argument("--parts", default="query,memory,update")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--hnsw-upto", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where collections are kept for the next run")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, _, size = options.measure.partition("-")
        asyncio.run(measure_memory(options.folder, int(size), kind))
        return
    if "ingestion" in options.parts.split(","):
        subprocess.run([sys.executable, "-m", "tests.bench.rag_ingestion"], check=True)
    if options.parts == "ingestion":
        return
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(bench(options.folder or Path(name), options))


if __name__ == "__main__":
    main()
