"""Bodies of calls, the malformed ones above all."""

import pytest

from shared.errors import InvalidRequest
from tools_api.invoke.wire import read_invoke_request


def test_a_whole_call_is_read() -> None:
    call = read_invoke_request(b'{"arguments": {"a": 1}, "workspace": "s-1", "deadline_ms": 500, "request_id": "r"}')

    assert (call.arguments, call.workspace, call.deadline_ms, call.request_id) == ({"a": 1}, "s-1", 500, "r")


def test_everything_has_a_default() -> None:
    assert read_invoke_request(b"{}").deadline_ms == 30_000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"arguments": {"a": NaN}}', "not valid JSON"),
        (b'{"arguments": {"a": Infinity}}', "not valid JSON"),
        (rb'{"arguments": {"a": "\ud800"}}', "not valid JSON"),
        (b'{"arguments": {"a": "\xff"}}', "not valid JSON"),
        ('{"arguments": {}}'.encode("utf-16"), "not valid JSON"),
        (b'{"arguments": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not valid JSON"),
        (b'{"arguments": {"a": ' + b"[" * 70 + b"]" * 70 + b"}}", "nested more than 64"),
        (b"[]", "The body"),
        (b'"text"', "The body"),
        (b'{"arguments": []}', "arguments"),
        (b'{"other": 1}', "other"),
        (b'{"deadline_ms": 0}', "deadline_ms"),
        (b'{"deadline_ms": 600001}', "deadline_ms"),
        (b'{"deadline_ms": "soon"}', "deadline_ms"),
        (b'{"deadline_ms": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"arguments": {"a": 1e999}}', "not valid JSON"),
        (b'{"workspace": "../x"}', "workspace"),
        (b'{"workspace": ""}', "workspace"),
        (b'{"workspace": "a/b"}', "workspace"),
        (b'{"workspace": ".call-0"}', "workspace"),
        (b'{"workspace": "a\\n"}', "workspace"),
        (b'{"request_id": "' + b"r" * 129 + b'"}', "request_id"),
    ],
)
def test_a_malformed_body_is_refused_with_the_field_at_fault(body: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_invoke_request(body)
