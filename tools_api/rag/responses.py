"""What the answers of retrieval's paths mean besides the good one, for /docs."""

from typing import Any

_MEANINGS = {
    400: "Something in the request is wrong; the message names it",
    401: "No service key, or one that is not known",
    403: "The collection was shared with this person for less than this",
    404: "There is no such collection (document, grant), or it is somebody else's",
    408: "The body does not come, or too slowly",
    409: "The name is taken, or names more than one collection; or there is no room for more of them",
    413: "The body is too large",
    429: "Too many requests of this kind at once; `Retry-After` says when to try again",
    503: "Retrieval cannot be used now; `Retry-After` says when to try again",
    504: "The search took too long; ask for less",
    507: "The disk is full",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe these statuses, and those that every path can answer."""
    return {status: {"description": _MEANINGS[status]} for status in sorted({401, 503, *statuses})}
