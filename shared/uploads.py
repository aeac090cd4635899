"""How large a body the paths may have that take files, which are the same in both processes; all others have the limit
of any request."""

import re

from shared.asgi import PathLimit

_MIB = 1024 * 1024
_TAKES_FILES = re.compile(r"/v1/rag/(collections/[^/]+/documents|restore)")


def upload_limits(megabytes: int) -> tuple[PathLimit, ...]:
    """Return the limit of uploads (RAG_MAX_UPLOAD_MB)."""
    return (PathLimit(_TAKES_FILES, megabytes * _MIB, "RAG_MAX_UPLOAD_MB"),)
