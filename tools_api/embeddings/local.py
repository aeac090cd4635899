"""The encoder of this machine: one child process with the models, shared by all callers."""

import asyncio
import contextlib
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.logging import get_logger
from tools_api.embeddings import files
from tools_api.embeddings.calls import Call, Calls
from tools_api.embeddings.errors import EncoderUnavailable, TextsRefused
from tools_api.embeddings.frames import BrokenFrame, Kind, Task, pack
from tools_api.embeddings.options import EncoderOptions
from tools_api.embeddings.process import Frame
from tools_api.embeddings.protocol import Embedded, EncoderModel, EncoderStatus, TextKind
from tools_api.embeddings.supervisor import Supervisor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = get_logger("encoder")

_PAIR_TOKENS = 512
"""What a cross-encoder reads of a pair, where no other model runs beside it."""


class LocalEncoder:
    """Implements `CountingEncoder`. Its child is started by `start`, or by the first call that needs it."""

    def __init__(self, options: EncoderOptions) -> None:
        self._options = options
        self._calls = Calls()
        self._supervisor = Supervisor(
            options, hear=self._hear, settled=self._settle, busy=lambda: any(c.sent for c in self._calls.open.values())
        )
        self._model: EncoderModel | None = None
        self._no_reranker: str | None = None
        self._reranker_ready = False
        self._settled = asyncio.Event()
        """Set while it is ready or has failed."""
        self._importing: asyncio.Task[object] | None = None

    @property
    def status(self) -> EncoderStatus:
        return self._supervisor.status

    @property
    def can_rerank(self) -> bool:
        return self._options.rerank_model is not None

    @property
    def child_pid(self) -> int | None:
        """The process id of the child that is ready."""
        return self._supervisor.child.pid if self._supervisor.child else None

    def start(self) -> None:
        """Load the models in the background, unless that was begun."""
        if self._importing is None:
            self._importing = asyncio.create_task(asyncio.to_thread(importlib.import_module, "numpy"))
            self._supervisor.start()

    async def aclose(self) -> None:
        """End the child; nothing starts it again."""
        await self._supervisor.aclose()
        self._calls.fail_all("The server stops.")
        if self._importing is not None:
            await asyncio.gather(self._importing, return_exceptions=True)

    async def model(self) -> EncoderModel:
        if self._model is None:
            self._model = await asyncio.to_thread(_described, self._options)
        while self._model is None:
            self.start()
            await self._settled.wait()
            if self._model is None and self.status.state == "failed":
                raise self._unavailable()
        return self._model

    async def embed(self, texts: Sequence[str], kind: TextKind) -> "NDArray[np.float32]":
        return (await self.embed_counted(texts, kind)).rows

    async def embed_counted(self, texts: Sequence[str], kind: TextKind, *, count_cut: bool = False) -> Embedded:
        if not texts:
            return Embedded(_no_rows((await self.model()).dimensions), 0, 0)
        call = await self._computed(Task.QUERY if kind == "query" else Task.PASSAGE, texts, count_cut=count_cut)
        return Embedded(call.result, call.tokens, call.cut)

    async def rerank(self, query: str, passages: Sequence[str]) -> "NDArray[np.float32]":
        if not self.can_rerank:
            raise EncoderUnavailable("No model for reranking is configured: set RAG_RERANK_MODEL.")
        if not passages:
            return _no_rows(1)[:, 0]
        return (await self._computed(Task.RERANK, passages, query)).result[:, 0]

    async def wait_ready(self, within_s: float) -> bool:
        self.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._settled.wait()
        return self.status.state == "ready"

    def tokenizer_file(self) -> Path | None:
        folder = files.find_model(self._options.model, self._options.downloads)
        return files.tokenizer_file(folder) if folder else None

    async def _computed(
        self, task: Task, texts: Sequence[str], question: str | None = None, *, count_cut: bool = False
    ) -> Call:
        self.start()
        if self.status.state == "failed":
            raise self._unavailable()
        if task is Task.RERANK and self._no_reranker:
            raise EncoderUnavailable(self._no_reranker)
        call = self._calls.add(task, texts, question, count_cut=count_cut)
        try:
            self._feed(call)
            await call.done
        finally:
            if self._calls.close(call) and self._supervisor.child is not None:
                self._supervisor.child.send(pack(Kind.CANCEL, call=call.number))
        return call

    def _feed(self, call: Call) -> None:
        """Send what may be sent of a list, if there is a child that can compute it."""
        child = self._supervisor.child
        if child is None or (call.task is Task.RERANK and not self._reranker_ready):
            return
        for frame in call.frames(self._model.max_tokens if self._model else _PAIR_TOKENS):
            child.send(frame)

    def _hear(self, frame: Frame) -> None:
        if frame.kind is Kind.READY:
            self._model = _read_model(frame.body) or self._model
            self._reranker_ready = False
        elif frame.kind is Kind.RERANKER:
            self._note_reranker(json.loads(frame.body)["failed"])
        elif (call := self._calls.open.get(frame.call)) is not None:
            self._answer(call, frame)

    def _answer(self, call: Call, frame: Frame) -> None:
        if frame.kind is Kind.REFUSED:
            reason = frame.body.decode("utf-8", "replace")
            call.fail(TextsRefused(f"The model could not compute these texts ({reason})."))
            return
        try:
            call.take(frame.first, frame.body)
        except (BrokenFrame, ValueError) as error:
            call.fail(EncoderUnavailable(f"The encoder answered with what are no vectors ({error})."))
        self._feed(call)

    def _note_reranker(self, failed: str | None) -> None:
        self._reranker_ready = failed is None
        self._no_reranker = f"Reranking is off: {failed}." if failed else None
        if self._no_reranker:
            _log.error("reranker_failed", reason=failed)
            self._calls.fail_all(self._no_reranker, Task.RERANK)
        self._feed_all()

    def _settle(self) -> None:
        """Take note that the child became ready, or failed, or was lost."""
        state = self.status.state
        if state == "starting":
            self._settled.clear()
        else:
            self._settled.set()
        if state == "failed":
            self._calls.fail_all(self._unavailable().message)
        if self._supervisor.child is None:
            for call in self._calls.open.values():
                call.survive()
        self._feed_all()

    def _feed_all(self) -> None:
        for call in list(self._calls.open.values()):
            self._feed(call)

    def _unavailable(self) -> EncoderUnavailable:
        return EncoderUnavailable(f"Texts can't be turned into vectors now: {self.status.reason}.", retry_after=60)


def _described(options: EncoderOptions) -> EncoderModel | None:
    folder = files.find_model(options.model, options.downloads)
    return files.describe(folder, options.model) if folder else None


def _read_model(body: bytes) -> EncoderModel | None:
    found = json.loads(body)
    return EncoderModel(**found) if found else None


def _no_rows(columns: int) -> "NDArray[np.float32]":
    import numpy as np

    return np.empty((0, columns), dtype=np.float32)
