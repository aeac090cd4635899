"""Backends behind our own Protocols that do what a test tells them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from main_api.backends.protocol import Capabilities, ModelInfo, ModelRequest
from main_api.events import ChoiceFinished, ModelEvent, TextDelta, Usage, UsageReported
from shared.errors import TwinportError

Step = ModelEvent | TwinportError | float


def answer(text: str = "Hello") -> list[Step]:
    return [TextDelta(text), ChoiceFinished("stop"), UsageReported(Usage(1, 2), model="own-name")]


class FakeBackend:
    """`script` is what a turn does: yield an event, raise an error or wait; `listing` what `models` does."""

    def __init__(
        self,
        name: str,
        models: tuple[str, ...] = (),
        *,
        script: list[Step] | None = None,
        capabilities: Capabilities | None = None,
        loaded: str | None = None,
    ) -> None:
        self.name = name
        self.script = answer(f"from {name}") if script is None else script
        self.listing: TwinportError | None = None
        self.delay_s = 0.0
        self.listed = 0
        self.described = 0
        self.unknown: TwinportError | None = None
        self.requests: list[ModelRequest] = []
        self.closed_streams = 0
        self.closed = False
        self.info = capabilities or Capabilities()
        self._models = models
        self._loaded = loaded

    async def models(self) -> list[ModelInfo]:
        self.listed += 1
        await asyncio.sleep(self.delay_s)
        if self.listing:
            raise self.listing
        return [
            ModelInfo(
                id=f"{self.name}/{model}",
                owned_by=self.name,
                loaded=model == self._loaded,
                capabilities=self.info,
            )
            for model in self._models
        ]

    async def capabilities(self, model: str) -> Capabilities:
        self.described += 1
        await asyncio.sleep(self.delay_s)
        if self.unknown:
            raise self.unknown
        return self.info

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.requests.append(request)
        try:
            for step in self.script:
                if isinstance(step, TwinportError):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.closed_streams += 1

    async def aclose(self) -> None:
        self.closed = True


class FakeAnswer:
    content_type = "text/event-stream"

    def __init__(self, pieces: list[bytes | TwinportError]) -> None:
        self._pieces = pieces

    async def read(self) -> bytes:
        return b"".join(piece for piece in self._pieces if isinstance(piece, bytes))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        for piece in self._pieces:
            if isinstance(piece, TwinportError):
                raise piece
            yield piece


class FakeRelay(FakeBackend):
    """A backend that relays: `pieces` are the bytes of its answer, `refusal` is raised instead of one."""

    def __init__(self, name: str, models: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(name, models, **options)
        self.pieces: list[bytes | TwinportError] = [b'{"choices":[{"message":{"content":"Hi"}}]}']
        self.refusal: TwinportError | None = None
        self.relayed: list[tuple[str, Any]] = []

    @asynccontextmanager
    async def relay(self, model: str, body: Any) -> AsyncGenerator[FakeAnswer]:
        self.relayed.append((model, body))
        if self.refusal:
            raise self.refusal
        yield FakeAnswer(self.pieces)
