"""The model service as a type for handlers; reads `request.state.models`."""

from typing import Annotated, cast

from fastapi import Depends, Request

from main_api.models.service import ModelService


async def model_service(request: Request) -> ModelService:
    """Return the service in the lifespan state."""
    return cast("ModelService", request.state.models)


Models = Annotated[ModelService, Depends(model_service)]
