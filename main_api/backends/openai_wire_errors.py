"""Turn what an OpenAI-compatible upstream says went wrong into our tree of errors. Knows the wire, not the network.

Upstream's status            our error
400 405 411 415 422          InvalidRequest with upstream's own words and param (a too long prompt: its own class)
401 403                      ProviderRefusedKey: the key is the operator's, so the caller must never see a 401
402                          ProviderRefusedKey: the account has no credit
404                          NotFound
408                          DeadlineExceeded
413                          PayloadTooLarge
429                          RateLimited with Retry-After
503 529                      Unavailable with Retry-After (529 is what Anthropic and OpenRouter say when overloaded)
everything else              UpstreamFailed, without upstream's words: they may describe its machines
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from main_api.backends.openai_wire_json import as_object
from shared.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    TwinportError,
    Unavailable,
    UpstreamFailed,
)
from shared.retry_after import retry_after_of
from shared.tools_contract import JsonObject

_LONGEST_MESSAGE = 2_000
_CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error"}


class ContextLengthExceeded(InvalidRequest):
    """The prompt is longer than the model's context window. The code is OpenAI's."""

    code = "context_length_exceeded"


class ProviderRefusedKey(UpstreamFailed):
    """The provider does not accept the key that the operator configured; asking again will not help."""

    code = "provider_key_refused"
    retryable = False


@dataclass(frozen=True, slots=True)
class UpstreamComplaint:
    """What an error body says, as far as it says it."""

    message: str = ""
    code: str = ""
    param: str | None = None
    prompt_tokens: int | None = None
    context_tokens: int | None = None
    status: int | None = None


def read_complaint(body: bytes) -> UpstreamComplaint:
    """Read the error body of OpenAI, llama.cpp, mlx-lm (`error` is text), vLLM (flat) and FastAPI (`detail`)."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return UpstreamComplaint()
    return complaint_of(parsed)


def complaint_of(parsed: object) -> UpstreamComplaint:
    """Read a parsed error body; see `read_complaint`."""
    outer = as_object(parsed) or {}
    error: object = outer.get("error", outer)
    if isinstance(error, str):
        return UpstreamComplaint(message=error[:_LONGEST_MESSAGE])
    fields = as_object(error) or {}
    message = fields.get("message") or fields.get("detail") or ""
    return UpstreamComplaint(
        message=message[:_LONGEST_MESSAGE] if isinstance(message, str) else "",
        code=_first_word(fields.get("code"), fields.get("type")),
        param=param if isinstance(param := fields.get("param"), str) else None,
        prompt_tokens=_whole(fields.get("n_prompt_tokens")),
        context_tokens=_whole(fields.get("n_ctx")),
        status=_whole(fields.get("code")),
    )


def error_from_answer(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> TwinportError:
    """Translate an answer with a bad status. `provider` is how the caller knows the upstream."""
    return error_from_complaint(provider, status, read_complaint(body), retry_after_of(headers))


def error_from_stream(provider: str, error: object) -> TwinportError:
    """Translate an `{"error": …}` that came inside a stream or with status 200; its `code` may be a status."""
    body: JsonObject = {"error": error}
    complaint = complaint_of(body)
    status = complaint.status
    if status is None and complaint.code in _CONTEXT_CODES | {"invalid_request_error"}:
        status = 400
    return error_from_complaint(provider, status or 500, complaint, None)


def error_from_complaint(
    provider: str, status: int, complaint: UpstreamComplaint, retry_after: float | None
) -> TwinportError:
    """Pick the error of our tree for a status and what the body said; see the table at the top of this file."""
    words = complaint.message
    match status:
        case 400 | 405 | 411 | 415 | 422:
            return _refused(provider, complaint)
        case 401 | 402 | 403:
            return ProviderRefusedKey(
                f"{provider} refuses the key that is configured for it, or its account has no credit;"
                " the operator of this service has to look at it"
            )
        case 404:
            return NotFound(words or f"{provider} does not know this model")
        case 408:
            return DeadlineExceeded(f"{provider} ran out of time; try again or ask for less")
        case 413:
            return PayloadTooLarge(words or f"The request is larger than {provider} takes")
        case 429:
            return RateLimited(
                f"{provider} has no capacity left for this service now; try again later", retry_after=retry_after
            )
        case 503 | 529:
            return Unavailable(f"{provider} is overloaded or starting; try again later", retry_after=retry_after)
        case _ if 300 <= status < 400:
            return UpstreamFailed(f"{provider} answered with a redirect, which is not followed; check its base URL")
        case _:
            return UpstreamFailed(f"{provider} failed (status {status}); try again later")


def _refused(provider: str, complaint: UpstreamComplaint) -> InvalidRequest:
    if complaint.code not in _CONTEXT_CODES:
        return InvalidRequest(complaint.message or f"{provider} refuses this request", param=complaint.param)
    if complaint.prompt_tokens is None or complaint.context_tokens is None:
        return ContextLengthExceeded(complaint.message, param=complaint.param or "messages")
    return ContextLengthExceeded(
        f"This model's maximum context length is {complaint.context_tokens} tokens. However, your messages resulted in"
        f" {complaint.prompt_tokens} tokens. Please reduce the length of the messages.",
        param="messages",
    )


def _first_word(*values: object) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
