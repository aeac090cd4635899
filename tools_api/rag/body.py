"""JSON bodies of retrieval's paths: as strict as those of tool calls, and described in /docs."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel

from tools_api.invoke.deps import json_of
from tools_api.invoke.wire import read_json

T = TypeVar("T", bound=BaseModel)


def body_of(model: type[T]) -> Callable[[Request], Awaitable[T]]:
    """Return a dependency that reads the body. It raises `InvalidRequest`, which names the field at fault."""

    async def read(request: Request) -> T:
        return read_json(await json_of(request), model)

    return read


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return what `openapi_extra` says of such a body. The model is flat: references would point nowhere."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
