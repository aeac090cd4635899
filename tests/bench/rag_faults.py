"""`kill -9` of the tools server at random moments of an ingestion: what is lost, what is there twice, does it finish?

    python -m tests.bench.rag_faults [--kills 20] [--files 500] [--seed 1] [--own-encoder]

The main API is off; sandbox and encoder are the real ones. So that the time between kills goes into the ingestion and
not into loading torch, the vectors come from a second tools server that is not killed (`RAG_EMBEDDINGS_URL`); with
`--own-encoder` the server loads its own after every kill, which takes it 10 seconds or more each time.
The goal: every file once, the job finished, nothing in the spool, after 20 kills in an ingestion of 500 files.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from tests.tools_api.rag.faults.server import KEY, ToolsServer, small_files, word, words_in


async def measure(options: argparse.Namespace, folder: Path) -> int:
    """Run it and print what came of it; return the exit status."""
    moments = random.Random(options.seed)
    async with (
        encoder_settings(options, folder / "encoder") as settings,
        ToolsServer(folder / "server", settings) as server,
    ):
        await server.collection()
        status, upload = await server.upload(small_files(options.files))
        assert status == 202, upload
        started = time.monotonic()
        for kill in range(options.kills):
            indexed = await _progress(server, upload["job"])
            print(f"kill {kill + 1:>2}: {indexed:>4} of {options.files} indexed", flush=True)
            await asyncio.sleep(moments.uniform(0, options.pause))
            await server.kill()
            await server.start()
        job = await server.finished(upload["job"], within_s=1800)
        took = time.monotonic() - started
        return report(options, job, await server.documents(), await server.passages(), took)


@contextlib.asynccontextmanager
async def encoder_settings(options: argparse.Namespace, folder: Path) -> AsyncGenerator[dict[str, str]]:
    """Yield the settings that name the encoder; start the server that has it."""
    if options.own_encoder:
        yield {}
        return
    folder.mkdir(parents=True)
    async with ToolsServer(folder) as other:
        while (await other.ask("POST", "/v1/embeddings", json={"model": "all-MiniLM-L6-v2", "input": "warm"}))[
            0
        ] != 200:
            await asyncio.sleep(1)
        yield {
            "RAG_EMBEDDINGS_URL": f"http://127.0.0.1:{other.port}/v1",
            "RAG_EMBEDDINGS_API_KEY": KEY,
            "RAG_EMBEDDING_MODEL": "all-MiniLM-L6-v2",
        }


async def _progress(server: ToolsServer, job_id: str) -> int:
    return (await server.job(job_id))["documents"]["indexed"]


def report(options: argparse.Namespace, job: Any, documents: list[Any], passages: list[Any], took: float) -> int:
    """Print what is there; return 0 if that is everything once."""
    wanted = [word(index) for index in range(options.files)]
    found = words_in(passages)
    lost, twice = set(wanted) - set(found), [one for one, times in Counter(found).items() if times > 1]
    states = dict(Counter(document["state"] for document in documents))
    print(f"job {job['state']} after {took:.0f} s and {options.kills} kills; documents: {states}")
    print(f"lost: {len(lost)}; twice: {len(twice)}; attempts: {max(one['attempts'] for one in documents)} at most")
    whole = found == wanted and job["state"] == "finished" and states == {"indexed": options.files}
    print("as it should be" if whole else "NOT as it should be")
    return 0 if whole else 1


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=3.0, help="most seconds between an answer and the kill")
    parser.add_argument("--own-encoder", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "server").mkdir()
        return asyncio.run(measure(options, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
