"""The file under evaluation in the product's own engine: the backend `local` as it runs the bundled model, with
another file in its place. Slots, context, threads, defaults and checks are the product's.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from main_api.agents.clock import closing
from main_api.backends.engine import EngineOptions, EngineSpec
from main_api.backends.engine_pool import EnginePool
from main_api.backends.local import BUNDLED_MODEL, LocalBackend
from main_api.backends.local_launch import LlamaCpp
from main_api.backends.local_models import LocalModel
from main_api.backends.protocol import Capabilities, Message, ModelRequest
from main_api.events import ModelEvent
from shared.http_client import create_http_session


@dataclass(frozen=True, slots=True, kw_only=True)
class _InPlaceOfTheBundled(LlamaCpp):
    """llama.cpp as for the bundled model, but with the file `gguf`."""

    gguf: Path

    def spec(self, public_name: str, model: LocalModel, options: EngineOptions) -> EngineSpec:
        spec = LlamaCpp.spec(self, public_name, model, options)
        bundled, own = str(model.path.resolve()), str(self.gguf.resolve())
        argv = tuple(own if word == bundled else word for word in spec.launch.argv)
        return replace(spec, launch=replace(spec.launch, argv=argv))


class EngineModel:
    """A `ChatModel` that asks the engine, no more at once than it has slots. `asked` counts the turns."""

    name = BUNDLED_MODEL

    def __init__(self, backend: LocalBackend, capabilities: Capabilities, slots: int) -> None:
        self.capabilities = capabilities
        self.asked = 0
        self._backend = backend
        self._slots = asyncio.Semaphore(slots)

    async def stream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[ModelEvent]:
        """Run one turn; see `ChatModel`."""
        async with self._slots:
            self.asked += 1
            request = ModelRequest(model=self.name, messages=messages, options=options)
            async with closing(self._backend.stream(request)) as events:
                async for event in events:
                    yield event


@asynccontextmanager
async def engine(gguf: Path, *, slots: int, threads: int | None = None) -> AsyncGenerator[EngineModel]:
    """Serve `gguf` while the block runs; it is loaded at the first turn. `threads` None means the product's choice."""
    with tempfile.TemporaryDirectory() as folder:
        async with create_http_session() as session:
            options = EngineOptions(log_dir=Path(folder), slots=slots, threads=threads)
            pool = EnginePool(options, session)
            backend = LocalBackend(
                models_dir=Path(folder) / "models", engines=pool, llamacpp=_InPlaceOfTheBundled(gguf=gguf)
            )
            try:
                yield EngineModel(backend, await backend.capabilities(BUNDLED_MODEL), slots)
            finally:
                await backend.aclose()
                await pool.aclose()
