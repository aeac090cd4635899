"""Changes a collection without end, and says on stdout what it begins and what was acknowledged. To be killed.

python -m tests.tools_api.rag.index.crash_worker FOLDER SEED
"""

import asyncio
import json
import random
import sys
from dataclasses import replace
from pathlib import Path

from tests.tools_api.rag.index.conftest import MODEL, SMALL, document
from tools_api.rag.index.indexes import Indexes
from tools_api.rag.index.values import DocumentToPut
from tools_api.rag.words.view import words_opener

OPTIONS = replace(SMALL, purge_after_s=0.05, purge_at_most_after_s=0.1, log_bytes=100_000)
NAMES = 30


def version(name: int, seed: int) -> DocumentToPut:
    """A document whose text names its version; its number of chunks follows from that."""
    return document(f"n{name}", 1 + seed % 4, seed=seed, text=f"canary{seed:08d}end " * (1 + seed % 50))


async def work(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    indexes = Indexes(folder, words_opener("english"), OPTIONS)
    await indexes.start()
    index = await indexes.open("c", MODEL, "Flat")
    for step in range(1, 1_000_000):
        if chance.random() < 0.25:
            gone = [chance.randrange(NAMES) for _ in range(chance.randrange(1, 4))]
            say(delete=gone)
            await index.delete([f"doc_n{name}" for name in gone])
        else:
            new = {chance.randrange(NAMES): seed * 1000 + step for _ in range(chance.randrange(1, 5))}
            say(put=list(new.items()))
            await index.put_many([version(*each) for each in new.items()])
        say(done=step)


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2])))
