"""MLX models: `mlx_lm.server` as a supervised child (extra `mlx`; Apple Silicon, and the CPU build on Linux).

What mlx-lm 0.32 does and does not, read in its source and run here, and what this backend makes of it:

* It batches requests; one with a `seed` waits until the batch is drained and then runs alone.
* It notices a hang-up only when it writes, so it is always asked to stream, and there is no `relay`.
* It ignores `n`, `response_format` and `tool_choice`, and streams no logprobs: such requests are refused clearly,
  except `tool_choice: "none"`, for which the tools are left out.
* It calls tools where it knows the template's way of writing them; otherwise agents ask in text.
* It misses stop words whose letters are other tokens inside a text; our child looks for them in the text.
* It runs on past the model's context; our child refuses a prompt that is too long and caps the answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from main_api.backends.engine import EngineSpec
from main_api.backends.engine_pool import EnginePool
from main_api.backends.engine_process import PYTHON, Launch
from main_api.backends.local_request import prepare
from main_api.backends.mlx_models import Cache, MlxModel, is_installed, scan
from main_api.backends.protocol import Capabilities, ModelInfo, ModelRequest
from main_api.events import ModelEvent
from shared.errors import InvalidRequest, NotFound, Unavailable, UpstreamFailed
from shared.single_flight import SingleFlight
from shared.tools_contract import JsonObject

_SCAN_CACHED_S: Final = 5.0
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class MlxBackend:
    """The backend `mlx`. `cache` is Hugging Face's cache folder, None to leave it out. The pool is not closed."""

    def __init__(self, *, models_dir: Path, engines: EnginePool, cache: Cache = "default") -> None:
        self._models_dir = models_dir
        self._engines = engines
        self._cache: Cache = cache
        self._catalogue: dict[str, MlxModel] = {}
        self._scanned_at: float | None = None
        self._scanning = SingleFlight(self._scan)

    @property
    def name(self) -> str:
        return "mlx"

    async def models(self) -> list[ModelInfo]:
        """List the models; none where mlx-lm is not installed."""
        if not is_installed():
            return []
        return [self._info(model) for _, model in sorted((await self._fresh()).items())]

    async def capabilities(self, model: str) -> Capabilities:
        return self._capabilities(await self._find(model))

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        """Run one turn, loading the model first if it is not; see `Backend.stream`."""
        model = await self._find(request.model)
        body = self._prepare(model, request)
        turn = ModelRequest(model=f"mlx/{model.name}", messages=body.pop("messages"), options=body)
        async with self._engines.use(self._spec(model)) as client:
            try:
                async for event in client.stream(turn):
                    yield event
            except NotFound as error:  # mlx-lm's status for whatever goes wrong while it prepares
                raise UpstreamFailed(f"The engine of mlx/{model.name} could not answer this request") from error

    async def aclose(self) -> None:
        """Stop looking at the disk; the engines end with their pool."""
        await self._scanning.aclose()

    def _prepare(self, model: MlxModel, request: ModelRequest) -> JsonObject:
        body = prepare({**request.options, "messages": request.messages}, self._capabilities(model), {})
        if body.pop("tool_choice", "auto") == "required":
            raise InvalidRequest("MLX models choose tools themselves; leave 'tool_choice' out", param="tool_choice")
        if body.get("tools") and not model.calls_tools:
            raise InvalidRequest("This model has no tool calling of its own; use an agent", param="tools")
        for ignored in ("n", "parallel_tool_calls", "stream", "stream_options"):
            body.pop(ignored, None)
        return body

    def _capabilities(self, model: MlxModel) -> Capabilities:
        return Capabilities(
            tool_mode="native" if model.calls_tools else "text",
            json_schema=False,
            multiple_choices=False,
            logprobs=False,
            context_length=self._context(model),
        )

    def _context(self, model: MlxModel) -> int:
        configured = self._engines.options.context
        return min(configured, model.context_length or configured)

    def _spec(self, model: MlxModel) -> EngineSpec:
        argv = (
            PYTHON, "-m", "main_api.backends.engines.mlx_child",
            "--model", str(model.path.resolve()),
            "--alias", f"mlx/{model.name}",
            "--slots", str(self._engines.options.slots),
            "--context", str(self._context(model)),
        )  # fmt: skip
        launch = Launch(argv=argv, environment=_OFFLINE)
        return EngineSpec(model=f"mlx/{model.name}", launch=launch, version=f"{model.modified}-{model.size_bytes}")

    async def _find(self, name: str) -> MlxModel:
        if not is_installed():
            raise Unavailable("MLX is not installed here; install the extra `mlx`")
        key = name.removeprefix("mlx/")
        model = (await self._fresh()).get(key)
        if model is None:
            raise NotFound(f"There is no model mlx/{key}; put its folder into the models folder", param="model")
        return model

    async def _fresh(self) -> dict[str, MlxModel]:
        if self._scanned_at is not None and time.monotonic() - self._scanned_at < _SCAN_CACHED_S:
            return self._catalogue
        return await self._scanning.result()

    async def _scan(self) -> dict[str, MlxModel]:
        self._catalogue = await asyncio.to_thread(scan, self._models_dir, self._cache)
        self._scanned_at = time.monotonic()
        return self._catalogue

    def _info(self, model: MlxModel) -> ModelInfo:
        public = f"mlx/{model.name}"
        return ModelInfo(
            id=public,
            owned_by="mlx",
            created=model.modified,
            loaded=self._engines.is_loaded(public),
            size_bytes=model.size_bytes,
            capabilities=self._capabilities(model),
        )
