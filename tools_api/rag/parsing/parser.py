"""Parses files in sandboxed runs: many small ones together, each result as soon as it is there.

A run's death is the fault of the file that it was at: that one fails, those before it count, the rest goes on in a new
run. All files of a call belong to one owner, because a parser that is taken over sees the files of its run.
"""

import asyncio
import compileall
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import orjson

from tools_api.rag.parsing.batches import Sized, next_batch, put_back, sent
from tools_api.rag.parsing.failures import unavailable
from tools_api.rag.parsing.run import ParsingRun
from tools_api.rag.parsing.runtime import ENV, PARSE, SCRIPTS, trees_of
from tools_api.rag.parsing.values import Bounds, Chunking, ParseInput, Result, too_large
from tools_api.rag.values import ParseFailure
from tools_api.sandbox import Job, Sandbox, SandboxFile

_TOKENIZER = "tokenizer.json"
_MOST_TOKENIZER_BYTES = 32 << 20
_ASK_AGAIN_S = 10.0
_GONE = ParseFailure(code="missing", message="The file is not there any more.", retryable=True)


class Parser:
    """Parses through a `Sandbox` that someone else closes; it is started when the first file comes."""

    def __init__(self, sandbox: Sandbox, *, bounds: Bounds, packages: Path | None = None) -> None:
        self.bounds = bounds
        self._sandbox = sandbox
        self._trees = trees_of(packages)
        self._starting = asyncio.Lock()
        self._asked_at: float | None = None

    async def parse(self, files: Sequence[ParseInput], chunking: Chunking) -> AsyncGenerator[tuple[str, Result]]:
        """Yield the id and the result of each file, in any order, as they come; each file comes to exactly one.

        Never raises for what is in a file. Leaving it early stops what runs.
        """
        waiting, refused = await asyncio.to_thread(_admitted, files, self.bounds)
        for id_, failure in refused.items():
            yield id_, failure
        await self.ready()
        tokenizer = await asyncio.to_thread(_read_tokenizer, chunking.tokenizer)
        while waiting:
            batch = next_batch(waiting)
            done: set[int] = set()
            async with aclosing(self._parsed(batch, chunking, tokenizer)) as results:
                async for number, result in results:
                    done.add(number)
                    yield batch[number].file.id, result
            put_back(waiting, [item for number, item in enumerate(batch) if number not in done])

    async def ready(self) -> Sandbox:
        """Start the sandbox if it has not been; one that could not be used is asked again from time to time."""
        async with self._starting:
            if self._asked_at is None:
                await asyncio.to_thread(_compile, SCRIPTS.source)
                await self._sandbox.start()
            elif not self._sandbox.report.available and time.monotonic() - self._asked_at > _ASK_AGAIN_S:
                await self._sandbox.probe()
            else:
                return self._sandbox
            self._asked_at = time.monotonic()
        return self._sandbox

    async def _parsed(
        self, batch: Sequence[Sized], chunking: Chunking, tokenizer: bytes | None
    ) -> AsyncGenerator[tuple[int, Result]]:
        if not self._sandbox.report.available:
            for number in range(len(batch)):
                yield number, unavailable(f"Files can't be read safely on this server: {self._sandbox.report.reason}.")
            return
        try:
            job = await asyncio.to_thread(self._job, batch, chunking, tokenizer)
        except OSError:
            for number in range(len(batch)):
                yield number, _GONE
            return
        run = ParsingRun(self._sandbox, job, total=len(batch), bounds=self.bounds, chunk_tokens=chunking.tokens)
        async with aclosing(run.results()) as results:
            async for result in results:
                yield result

    def _job(self, batch: Sequence[Sized], chunking: Chunking, tokenizer: bytes | None) -> Job:
        files, stored = sent(batch)
        payload = {
            "files": [
                {"path": str(number), "name": item.file.name, "type": item.file.media_type}
                for number, item in enumerate(batch)
            ],
            "bounds": self.bounds.told(),
            "chunk_tokens": chunking.tokens,
            "tokenizer": _TOKENIZER if tokenizer else None,
        }
        if tokenizer:
            files.append(SandboxFile(_TOKENIZER, tokenizer))
        return Job(
            script=PARSE,
            payload=orjson.dumps(payload),
            files=tuple(files),
            stored=tuple(stored),
            trees=self._trees,
            env=ENV,
            keeps_output=False,
        )


def _compile(scripts: Path) -> None:
    """Compile the scripts once where they lie, if we may write there: every run would have to, and can't keep it."""
    compileall.compile_dir(str(scripts), quiet=2)


def _admitted(files: Sequence[ParseInput], bounds: Bounds) -> tuple[deque[Sized], dict[str, ParseFailure]]:
    """Return the files that may be read, with their sizes, and why the others may not be."""
    refused = too_large(files, bounds)
    return deque(Sized(file, file.size) for file in files if file.id not in refused), refused


def _read_tokenizer(path: Path | None) -> bytes | None:
    """Read a tokenizer's file; without one that can be used tokens are estimated."""
    try:
        if path is None or path.stat().st_size > _MOST_TOKENIZER_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None
