"""The id that follows one request through both processes, in logs and in the `x-request-id` header."""

import random
import re
from contextvars import ContextVar

HEADER = "x-request-id"

_ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_random = random.Random()  # noqa: S311 - an id, not a secret; asking the kernel each time costs more than the rest
_current: ContextVar[str] = ContextVar("request_id", default="-")


def current_request_id() -> str:
    """Return the id of the request being served, or `-` outside of one."""
    return _current.get()


def bind_request_id(offered: str | None) -> str:
    """Take the caller's id if it is harmless in a log line, else make one (96 random bits); bind and return it."""
    request_id = offered if offered and _ACCEPTED.fullmatch(offered) else f"req_{_random.getrandbits(96):024x}"
    _current.set(request_id)
    return request_id
