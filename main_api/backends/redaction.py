"""Takes secrets and attachments out of text and JSON before they are written down or shown.

It knows shapes and names, not meaning: a password in plain prose without a name beside it stays. Nothing here is a
reason to log what need not be logged.
"""

import re
from typing import Any, cast

import orjson

from shared.tools_contract import JsonObject

REDACTED = "[redacted]"

_SECRET_NAMES = frozenset(
    {
        "password",
        "passwd",
        "passphrase",
        "secret",
        "clientsecret",
        "token",
        "accesstoken",
        "refreshtoken",
        "idtoken",
        "apikey",
        "xapikey",
        "authorization",
        "privatekey",
        "credentials",
    }
)

# A pattern runs only where one of its markers occurs: most text has none, and looking for a marker is a hundred times
# cheaper than a regular expression.
_KEY_SHAPES = (
    (("sk-", "ak_", "rk_", "pk_"), re.compile(r"\b(?:sk-|[arps]k_)[A-Za-z0-9_-]{16,}")),
    (("hf_", "tvly-", "gsk_", "rt_"), re.compile(r"\b(?:hf_|tvly-|gsk_|rt_)[A-Za-z0-9_-]{16,}")),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}")),
    (("github_pat_",), re.compile(r"\bgithub_pat_[A-Za-z0-9_]{20,}")),
    (("xox",), re.compile(r"\bxox[abeprs]-[A-Za-z0-9-]{10,}")),
    (("AIza",), re.compile(r"\bAIza[A-Za-z0-9_-]{30,}")),
    (("AKIA", "ASIA"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    (("eyJ",), re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*")),
    (
        ("-----BEGIN",),
        re.compile(r"-----BEGIN [A-Z0-9 ]{1,60}-----(?:(?!-----BEGIN).)*?(?:-----END [A-Z0-9 ]{1,60}-----|\Z)", re.S),
    ),
)
_BEARER = re.compile(r"\b(bearer|basic)(\s+)(?=\S*[\d=])[A-Za-z0-9._~+/-]{8,}=*", re.I)  # not "basic understanding"
_URL_PASSWORD = re.compile(r"(://[^\s/:@]+:)[^\s/@]+(?=@)")
_NAMED = re.compile(
    r"(?P<name>\b(?:password|passwd|passphrase|(?:client_?)?secret|(?:(?:access|refresh|id)_?)?token|"
    r"(?:x-)?api[_-]?key|private_?key)\\?[\"']?\s*[:=]\s*\\?)"
    r"(?:(?P<quote>[\"'])(?:(?!(?P=quote)).)+|[^\s\"',;&}\\]+)",
    re.I | re.S,
)
_NAMED_MARKERS = (
    *("password", "passwd", "passphrase", "secret", "api_key", "apikey", "api-key", "privatekey", "private_key"),
    *('token"', "token'", "token\\", "token:", "token=", "token ", "authorization", "credentials"),
)
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w=.-]+)*;base64,(?P<data>[A-Za-z0-9+/=_-]*)")
_BLOB = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{512,}={0,2}")


_FOLDED_MARKERS = (*_NAMED_MARKERS, "bearer", "basic ")
_MARKERS = (
    *(marker for markers, _ in _KEY_SHAPES for marker in markers),
    *(";base64,", '"input_audio"', '"file_data"'),
)


def redact_json(line: bytes) -> bytes:
    """Redact one serialised JSON value. It is taken apart only when something in it looks suspicious."""
    text = line.decode()
    if _suspicious(text):
        return orjson.dumps(redact(orjson.loads(line)))
    return line


def redact_text(text: str) -> str:
    """Replace keys, tokens, named secrets, PEM blocks and base64 blobs; the rest stays as it is."""
    if ";base64," in text:
        text = _DATA_URL.sub(_attachment, text)
    if len(text) >= 512:
        text = _BLOB.sub(lambda match: _of_size(match[0]), text)
    for markers, pattern in _KEY_SHAPES:
        if any(marker in text for marker in markers):
            text = pattern.sub(REDACTED, text)
    if "://" in text and "@" in text:
        text = _URL_PASSWORD.sub(rf"\1{REDACTED}", text)
    folded = text.lower()
    if "bearer" in folded or "basic" in folded:
        text = _BEARER.sub(rf"\1\2{REDACTED}", text)
    if any(marker in folded for marker in _NAMED_MARKERS):
        text = _NAMED.sub(_named, text)
    return text


def _suspicious(text: str) -> bool:
    for marker in _MARKERS:  # plain loops: this runs for every line, and `any` with a generator takes twice as long
        if marker in text:
            return True
    if "://" in text and "@" in text:
        return True
    folded = text.lower()
    for marker in _FOLDED_MARKERS:
        if marker in folded:
            return True
    return _BLOB.search(text) is not None


def redact(value: Any) -> Any:
    """Return a copy of a JSON value without secrets and attachments.

    Values of fields with a secret's name go whole; image, audio and file parts become their media type and size.
    """
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, list | tuple):
        return [redact(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return _redact_object(cast("JsonObject", value))
    return value


def _redact_object(value: JsonObject) -> JsonObject:
    redacted: JsonObject = {}
    for name, item in value.items():
        if _plain(name) in _SECRET_NAMES and isinstance(item, str | int | float) and item != "":
            redacted[name] = REDACTED
        elif name in {"data", "file_data"} and isinstance(item, str) and ";base64," not in item:
            redacted[name] = _of_size(item) if len(item) > 64 else redact_text(item)
        else:
            redacted[name] = redact(item)
    return redacted


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _of_size(base64: str) -> str:
    return f"[attachment of {len(base64.rstrip('=')) * 3 // 4} bytes]"


def _attachment(match: re.Match[str]) -> str:
    return f"[{match['type'] or 'attachment'}, {len(match['data'].rstrip('=')) * 3 // 4} bytes]"


def _named(match: re.Match[str]) -> str:
    return f"{match['name']}{match['quote'] or ''}{REDACTED}"
