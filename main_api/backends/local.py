"""Models that run here: GGUF files in `<data>/models` and the bundled one, each in a supervised llama.cpp.

This backend only decides which model, how it is run and what may be asked of it. The children are the pool's
(`engine_pool.py`), the wire is `openai_compatible.py`'s.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from main_api.backends.engine import EngineStopped
from main_api.backends.engine_pool import EnginePool
from main_api.backends.local_launch import LlamaCpp
from main_api.backends.local_models import BUNDLED_ADVICE, BUNDLED_MODEL, LocalModel, scan
from main_api.backends.local_request import prepare
from main_api.backends.openai_compatible import RelayedResponse
from main_api.backends.protocol import Capabilities, ModelInfo, ModelRequest
from main_api.backends.repeated_calls import without_repeated_calls
from main_api.events import ModelEvent
from shared.errors import NotFound, Unavailable
from shared.single_flight import SingleFlight
from shared.tools_contract import JsonObject

_SCAN_CACHED_S: Final = 2.0
_BUNDLED_DESCRIPTION: Final = (
    "The small built-in model (6 million parameters), which needs no network, no key and no GPU. It greets, says who "
    "it is, calculates, searches, calls other tools and writes small Python programs for plainly worded requests, "
    "follows up ('and times 3?'), copies what tools return, and plans requests of two parts. It cannot chat freely, "
    "knows nothing of the world, often misses unusual wordings, reads English only and at most 1024 tokens. "
    f"{BUNDLED_ADVICE}"
)
_BUNDLED_DEFAULTS: Final[Mapping[str, Any]] = {"temperature": 0, "max_tokens": 200}
"""It copies rather than invents, and where it loses the thread it repeats itself until it is stopped."""


class LocalBackend:
    """The backend `local`. `models_dir` need not exist. The pool is shared with other backends and not closed."""

    def __init__(self, *, models_dir: Path, engines: EnginePool, llamacpp: LlamaCpp | None = None) -> None:
        self._models_dir = models_dir
        self._engines = engines
        self._llamacpp = llamacpp or LlamaCpp()
        self._catalogue: dict[str, LocalModel] = {}
        self._scanned_at = 0.0
        self._scanning = SingleFlight(self._scan)

    @property
    def name(self) -> str:
        return "local"

    async def models(self) -> list[ModelInfo]:
        """List the usable models, the bundled one last."""
        catalogue = await self._fresh()
        usable = {model.name: model for model in catalogue.values() if model.problem is None}
        return [
            self._info(model) for model in sorted(usable.values(), key=lambda model: (model.is_bundled, model.name))
        ]

    async def capabilities(self, model: str) -> Capabilities:
        return self._llamacpp.capabilities(await self._find(model), self._engines.options)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        """Run one turn, loading the model first if it is not; see `Backend.stream`.

        An engine that was dying when it was asked, and said nothing yet, is followed by a new one, once.
        """
        model = await self._find(request.model)
        body = self._prepare(model, {**request.options, "messages": request.messages})
        public = _public(model)
        turn = ModelRequest(model=public, messages=body.pop("messages"), options=body)
        spec = self._llamacpp.spec(public, model, self._engines.options)
        began = False
        for may_repeat in (True, False):
            try:
                async with self._engines.use(spec) as client:
                    events = client.stream(turn)
                    async for event in without_repeated_calls(events) if model.is_bundled else events:
                        began = True
                        yield event
            except EngineStopped as error:
                if began or not (may_repeat and error.was_dying):
                    raise
            else:
                return

    @asynccontextmanager
    async def relay(self, model: str, body: JsonObject) -> AsyncGenerator[RelayedResponse]:
        """Hand the engine's own answer over; see `RelayBackend.relay`."""
        found = await self._find(model)
        prepared = self._prepare(found, body)
        public = _public(found)
        spec = self._llamacpp.spec(public, found, self._engines.options)
        began = False
        for may_repeat in (True, False):
            try:
                async with self._engines.use(spec) as client, client.relay(public, prepared) as answer:
                    began = True
                    yield answer
            except EngineStopped as error:
                if began or not (may_repeat and error.was_dying):
                    raise
            else:
                return

    async def aclose(self) -> None:
        """Stop looking at the disk; the engines end with their pool."""
        await self._scanning.aclose()

    def _prepare(self, model: LocalModel, body: Mapping[str, Any]) -> JsonObject:
        defaults = {**self._llamacpp.defaults, **(_BUNDLED_DEFAULTS if model.is_bundled else {})}
        return prepare(body, self._llamacpp.capabilities(model, self._engines.options), defaults)

    async def _find(self, name: str) -> LocalModel:
        key = name.removeprefix("local/")
        model = (await self._fresh()).get(key)
        if model is None:
            raise NotFound(
                f"There is no model local/{key}; put a GGUF file into the models folder, or ask for {BUNDLED_MODEL}",
                param="model",
            )
        if model.problem is not None:
            raise Unavailable(f"The file of local/{key} cannot be used: {model.problem}")
        return model

    async def _fresh(self) -> dict[str, LocalModel]:
        if self._catalogue and time.monotonic() - self._scanned_at < _SCAN_CACHED_S:
            return self._catalogue
        return await self._scanning.result()

    async def _scan(self) -> dict[str, LocalModel]:
        known = {model.path: model for model in self._catalogue.values()}
        self._catalogue = await asyncio.to_thread(scan, self._models_dir, known)
        self._scanned_at = time.monotonic()
        return self._catalogue

    def _info(self, model: LocalModel) -> ModelInfo:
        facts = model.facts
        return ModelInfo(
            id=_public(model),
            owned_by="local",
            created=model.modified,
            description=_BUNDLED_DESCRIPTION if model.is_bundled else facts.name if facts else None,
            loaded=self._engines.is_loaded(_public(model)),
            size_bytes=model.size_bytes,
            capabilities=self._llamacpp.capabilities(model, self._engines.options),
        )


def _public(model: LocalModel) -> str:
    return f"local/{model.name}"
