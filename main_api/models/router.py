"""`GET /v1/models` and `GET /v1/models/{id}`, as OpenAI's SDKs ask for them. Needs the scope `models`."""

from fastapi import APIRouter, Depends

from main_api.auth.deps import require_scope
from main_api.models.deps import Models
from main_api.models.schemas import Model, ModelList

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=[Depends(require_scope("models"))])


@router.get("")
async def list_models(models: Models) -> ModelList:
    """List the models that can be asked now. A backend that cannot be reached is left out."""
    return await models.list()


@router.get("/{name:path}")
async def get_model(name: str, models: Models) -> Model:
    """Return one model. The name may be a bare one or `auto`; the answer has the full one."""
    return await models.get(name)
