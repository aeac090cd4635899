"""What `/v1/models` knows: the models of all backends that can be reached now."""

from main_api.backends.router import ModelRouter
from main_api.models.schemas import Model, ModelList


class ModelService:
    """Shows the models that the router finds."""

    def __init__(self, router: ModelRouter) -> None:
        self._router = router

    async def list(self) -> ModelList:
        """List every model once, backend by backend."""
        return ModelList(data=[Model.of(info) for info in await self._router.list_models()])

    async def get(self, name: str) -> Model:
        """Return the model that a name means, by the same rules as a completion. Raises `ModelNotFound`."""
        return Model.of(await self._router.find(name))
