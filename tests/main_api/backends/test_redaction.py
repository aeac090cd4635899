import time

import orjson
import pytest

from main_api.backends.redaction import redact, redact_json, redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "secret",
    [
        "ak_0123456789abcdefghij",
        "sk-proj-0123456789abcdefghij",
        "sk-ant-api03-0123456789abcdefghij",
        "sk-or-v1-0123456789abcdefghij",
        "hf_0123456789abcdefghij",
        "rt_0123456789abcdefghij",
        "tvly-0123456789abcdefghij",
        "ghp_0123456789abcdefghij0123",
        "github_pat_0123456789abcdefghij",
        "xoxb-0123456789-abcdef",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv",
        "AKIAIOSFODNN7EXAMPLE",
        JWT,
        PEM,
    ],
)
def test_known_shapes_of_keys_go(secret: str) -> None:
    assert redact_text(f"use {secret} please") == "use [redacted] please"
    assert secret not in redact_json(orjson.dumps({"answer": f"use {secret} please"})).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc123def456", "Authorization: Bearer [redacted]"),
        ("Basic dXNlcjpwYXNz1==", "Basic [redacted]"),
        ('{"password": "hunter2", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        ("password=hunter2&x=1", "password=[redacted]&x=1"),
        ("api_key: 'qwerty' and", "api_key: '[redacted]' and"),
        ("postgres://ada:hunter2@db/x", "postgres://ada:[redacted]@db/x"),
        ("ACCESS_TOKEN=abc", "ACCESS_TOKEN=[redacted]"),
        ('{\\"client_secret\\": \\"abc\\"}', '{\\"client_secret\\": \\"[redacted]"}'),
    ],
)
def test_named_secrets_go_and_their_names_stay(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I need a basic understanding of bearer bonds.",
        "Set max_tokens: 5 and report prompt_tokens=7.",
        "The ak_ prefix, task-force and sk- alone are no keys.",
        "Forget the password, and the secret of good coffee.",
        "A sha256 is " + "0123456789abcdef" * 4,
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text
    assert orjson.loads(redact_json(orjson.dumps({"answer": text}))) == {"answer": text}


def test_fields_with_a_secret_name_go_whole_at_any_depth() -> None:
    value = {"a": [{"Password": "correct horse battery", "x-api-key": "q", "refresh_token": "r", "pin": 1}]}
    assert redact(value) == {
        "a": [{"Password": "[redacted]", "x-api-key": "[redacted]", "refresh_token": "[redacted]", "pin": 1}]
    }


def test_a_schema_that_has_a_password_property_stays_readable() -> None:
    schema = {"properties": {"password": {"type": "string"}, "token": {"type": "integer"}}}
    assert redact(schema) == schema


def test_attachments_become_their_type_and_size() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "QUJD" * 1000}},
        {"type": "input_audio", "input_audio": {"data": "QUJD" * 100, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"}},
    ]
    line = redact_json(orjson.dumps({"messages": [{"role": "user", "content": parts}]}))
    image, audio, file = orjson.loads(line)["messages"][0]["content"]
    assert image["image_url"]["url"] == "[image/png, 3000 bytes]"
    assert audio["input_audio"] == {"data": "[attachment of 300 bytes]", "format": "wav"}
    assert file["file"] == {"filename": "a.pdf", "file_data": "[application/pdf, 3 bytes]"}


def test_a_bare_base64_blob_in_text_becomes_its_size() -> None:
    assert redact_text("see " + "QUJD" * 200 + "== ok") == "see [attachment of 600 bytes] ok"


@pytest.mark.parametrize("text", ["-----BEGIN X-----" * 20_000, "password: " * 30_000, "ab" * 400_000, "eyJ" * 200_000])
def test_hostile_text_costs_linear_time(text: str) -> None:
    started = time.thread_time()
    redact_text(text)
    assert time.thread_time() - started < 1.0  # quadratic work would take minutes
