"""What the schema promises is kept: whatever fits it or does not, no answer is undocumented and none is a 500."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.tools_api.conftest import KEY
from tests.tools_api.rag.conftest import ServedRag, ServeRag

pytestmark = pytest.mark.slow

_CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_EXAMPLES = 40
_HEADERS = {"Authorization": f"Bearer {KEY}", "X-Acting-For": "anna"}
_KNOWN = {"collection": "notes"}


async def _operations(rag: ServedRag) -> list[Any]:
    _, document = await rag.person("anna").ask("GET", "/openapi.json")
    schema = schemathesis.openapi.from_dict(document)
    return [found.ok() for found in schema.get_all_operations() if found.ok().path.startswith("/v1/rag")]


def _attack(operation: Any, url: str) -> Callable[[], None]:
    """Return a test of one path: requests that fit its schema and ones that don't, to a collection that is there
    and to others."""
    known = {name: value for name, value in _KNOWN.items() if f"{{{name}}}" in operation.path}
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE, path_parameters=known),
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @given(case=cases)
    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attack(case: Any) -> None:
        answer = case.call(base_url=url, headers=_HEADERS, timeout=30)
        case.validate_response(answer, checks=_CHECKS)

    return attack


async def test_no_request_gets_an_answer_that_the_schema_does_not_know(serve_rag: ServeRag) -> None:
    async with serve_rag() as rag:
        operations = await _operations(rag)
        for operation in operations:
            await rag.person("anna").ask("POST", "/v1/rag/collections", json={"name": "notes"})
            await asyncio.to_thread(_attack(operation, rag.url))

    assert len(operations) >= 8
