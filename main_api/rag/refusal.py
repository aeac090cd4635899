"""What the tools API says no with, as an error of ours: its words, code and status go through, nothing else does."""

import re
from typing import Any, cast

from shared.errors import TwinportError
from shared.tools_contract import JsonObject

_MEANT_FOR_CALLERS = frozenset({400, 403, 404, 405, 408, 409, 411, 413, 415, 416, 422, 429, 503, 504, 507})
_WORD = re.compile(r"[a-z0-9_]{1,64}")
_LONGEST_MESSAGE = 2000
_LONGEST_PARAM = 200


class Refused(TwinportError):
    """An error of the tools API that is the caller's affair. Each says itself what a class says elsewhere."""

    def __init__(self, message: str, *, status: int, code: str, kind: str, **options: Any) -> None:
        super().__init__(message, **options)
        vars(self).update(status=status, code=code, type=kind, retryable=status in {408, 429, 503, 504})

    @classmethod
    def of(cls, status: int, body: JsonObject | None, retry_after: str | None) -> "Refused | None":
        """Return the error in an answer, or None if it is not one in OpenAI's shape that callers are meant to see."""
        said: Any = (body or {}).get("error")
        if status not in _MEANT_FOR_CALLERS or not isinstance(said, dict):
            return None
        error = cast("JsonObject", said)
        message, param, details = error.get("message"), error.get("param"), error.get("details")
        if not isinstance(message, str) or not message:
            return None
        return cls(
            message[:_LONGEST_MESSAGE],
            status=status,
            code=_word(error.get("code"), "upstream_error"),
            kind=_word(error.get("type"), "invalid_request_error"),
            param=param[:_LONGEST_PARAM] if isinstance(param, str) else None,
            details=cast("JsonObject", details) if isinstance(details, dict) else None,
            retry_after=_seconds(retry_after),
        )


def _word(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else otherwise


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isascii() and value.isdigit() and len(value) < 6 else None
