"""The one tree of errors that both processes raise and render.

    TwinportError                    500 internal_error
    ├── InvalidRequest               400 invalid_request_error
    ├── Unauthenticated              401 invalid_api_key
    ├── PermissionDenied             403 permission_denied
    ├── NotFound                     404 not_found
    ├── Conflict                     409 conflict
    ├── PayloadTooLarge              413 payload_too_large
    ├── RateLimited                  429 rate_limit_exceeded      (retry_after)
    ├── ClientDisconnected           499 client_disconnected      (never seen by anyone; ends a run)
    ├── UpstreamFailed               502 upstream_error           a provider, an engine or the tools API misbehaved
    ├── Unavailable                  503 service_unavailable      (retry_after)
    ├── DeadlineExceeded             504 deadline_exceeded
    └── StorageFull                  507 insufficient_storage

A slice subclasses the nearest class beside the code that raises it. `message` is for the caller: it says what is
wrong and what to do, and never carries a secret, a path of this machine or another user's data.
"""

from collections.abc import Mapping
from typing import ClassVar


class TwinportError(Exception):
    """Base of every error that a caller may see.

    `code` is the stable word for programs, `type` is OpenAI's error type, `retryable` says whether the same call
    may succeed later, `param` names the field at fault in the caller's words.
    """

    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.details = details


class InvalidRequest(TwinportError):
    """The request is wrong as it stands; sending it again will not help."""

    code = "invalid_request_error"
    type = "invalid_request_error"
    status = 400


class Unauthenticated(TwinportError):
    """No credential, or one that is unknown, expired or revoked."""

    code = "invalid_api_key"
    type = "authentication_error"
    status = 401


class PermissionDenied(TwinportError):
    """The credential is good but does not allow this."""

    code = "permission_denied"
    type = "permission_error"
    status = 403


class NotFound(TwinportError):
    """No such thing, or not the caller's: the two look the same."""

    code = "not_found"
    type = "invalid_request_error"
    status = 404


class Conflict(TwinportError):
    """The name is taken, or the thing changed meanwhile."""

    code = "conflict"
    type = "invalid_request_error"
    status = 409


class PayloadTooLarge(TwinportError):
    """The body is larger than this endpoint reads."""

    code = "payload_too_large"
    type = "invalid_request_error"
    status = 413


class RateLimited(TwinportError):
    """A limit is used up; `retry_after` is in seconds."""

    code = "rate_limit_exceeded"
    type = "rate_limit_exceeded"
    status = 429
    retryable = True


class ClientDisconnected(TwinportError):
    """The caller went away. 499 is nginx's code; it only appears in logs and metrics."""

    code = "client_disconnected"
    status = 499


class UpstreamFailed(TwinportError):
    """A provider, an engine or the tools API answered with nonsense or broke off."""

    code = "upstream_error"
    type = "upstream_error"
    status = 502
    retryable = True


class Unavailable(TwinportError):
    """A part that this call needs is off, starting or overloaded."""

    code = "service_unavailable"
    type = "service_unavailable"
    status = 503
    retryable = True


class DeadlineExceeded(TwinportError):
    """The time allowed for this call is over."""

    code = "deadline_exceeded"
    type = "timeout_error"
    status = 504
    retryable = True


class StorageFull(TwinportError):
    """The disk, or the caller's share of it, is full."""

    code = "insufficient_storage"
    status = 507
