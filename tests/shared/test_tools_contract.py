"""The wire contract: strict in what is asked, tolerant in what is answered."""

import pytest
from pydantic import ValidationError

from shared.tools_contract import InvokeRequest, ToolDefinition, ToolResult


def test_a_request_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        InvokeRequest.model_validate({"arguments": {}, "priority": 1})


def test_an_answer_with_an_unknown_field_is_read() -> None:
    result = ToolResult.model_validate({"ok": True, "content": "4", "mood": "good", "receipt": {"wall_s": 1, "x": 2}})

    assert (result.content, result.receipt.wall_s) == ("4", 1)


@pytest.mark.parametrize("name", ["a", "session-1", "A_b-9", "x" * 64])
def test_names_of_workspaces(name: str) -> None:
    assert InvokeRequest(workspace=name).workspace == name


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "_a", "a/b", "a\\b", "a.b", "x" * 65, "ü", "a\n", "a\x00"])
def test_names_that_could_leave_the_folder_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        InvokeRequest(workspace=name)


def test_values_cannot_be_changed_once_made() -> None:
    definition = ToolDefinition(name="a", description="b", parameters={})

    with pytest.raises(ValidationError):
        definition.name = "c"  # type: ignore[misc]


def test_a_result_survives_the_wire() -> None:
    result = ToolResult.model_validate(
        {
            "ok": False,
            "content": "partly",
            "data": {"a": [1, None]},
            "artifacts": [{"id": "art_1", "name": "a.png", "media_type": "image/png", "size": 3}],
            "sources": [{"title": "T", "url": "https://example.org"}],
            "error": {"type": "timeout", "message": "too slow"},
            "receipt": {"wall_s": 1.5, "denied": ["network"]},
        }
    )

    assert ToolResult.model_validate_json(result.model_dump_json()) == result
