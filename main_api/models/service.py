"""What `/v1/models` knows: the models of all backends that can be reached now, and the one that makes vectors."""

from collections.abc import Awaitable, Callable

from main_api.backends.protocol import ModelInfo
from main_api.backends.router import ModelRouter
from main_api.models.schemas import Model, ModelList

EmbeddingModels = Callable[[], Awaitable[list[ModelInfo]]]
"""Lists the models that make vectors; none while nobody can be asked."""


class ModelService:
    """Shows the models that the router finds, and behind them those of `embedding_models`."""

    def __init__(self, router: ModelRouter, embedding_models: EmbeddingModels) -> None:
        self._router = router
        self._embedding_models = embedding_models

    async def list(self) -> ModelList:
        """List every model once, backend by backend."""
        found = [*await self._router.list_models(), *await self._embedding_models()]
        return ModelList(data=[Model.of(info) for info in found])

    async def get(self, name: str) -> Model:
        """Return the model that a name means, by the same rules as a completion. Raises `ModelNotFound`."""
        for info in await self._embedding_models():
            if info.id == name:
                return Model.of(info)
        return Model.of(await self._router.find(name))
