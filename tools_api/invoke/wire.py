"""Read a body: strict JSON (RFC 8259: no NaN, no half characters), bounded depth, the fields of a model."""

from collections.abc import Iterable
from typing import Any, TypeVar, cast

import orjson
from pydantic import BaseModel, ValidationError

from shared.errors import InvalidRequest
from shared.tools_contract import InvokeRequest

MAX_DEPTH = 64

T = TypeVar("T", bound=BaseModel)


def read_invoke_request(body: bytes) -> InvokeRequest:
    """Return the call that `body` describes. Raises `InvalidRequest`, which names the field at fault."""
    return read_json(body, InvokeRequest)


def read_json(body: bytes, model: type[T]) -> T:
    """Return what `body` describes. Raises `InvalidRequest`, which names the field at fault."""
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error.msg}.") from None
    if _depth_exceeds(decoded, MAX_DEPTH):
        raise InvalidRequest(f"The body is nested more than {MAX_DEPTH} levels deep.")
    try:
        return model.model_validate(decoded)
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> InvalidRequest:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(step) for step in problem["loc"])[:80]
    return InvalidRequest(
        f"{field or 'The body'}: {problem['msg'].removeprefix('Value error, ')}.", param=field or None
    )


def _depth_exceeds(value: Any, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit + 1):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()
