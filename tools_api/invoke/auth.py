"""Who calls: services present a key, and every key has a name. People never call this process directly."""

import hashlib
import hmac
from collections.abc import Mapping

from shared.errors import Unauthenticated

MAIN_API = "main_api"
"""The caller's name of the key that the two processes share."""


class ServiceKeys:
    """The keys of the services that may call, by name. Only their digests are kept."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._digests = {name: _digest(key) for name, key in keys.items()}

    def caller(self, offered: str | None) -> str:
        """Return the name of the service whose key this is, in a time that tells nothing. Raises `Unauthenticated`."""
        if not offered:
            raise Unauthenticated("Send a service key: `Authorization: Bearer <key>` or `X-API-Key: <key>`.")
        digest = _digest(offered)
        names = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
        if not names:
            raise Unauthenticated("This service key is not known here.")
        return names[0]


def offered_key(authorization: str | None, x_api_key: str | None) -> str | None:
    """Return the key of a request's two possible headers. If there is an `Authorization`, that one decides."""
    if authorization is None:
        return x_api_key
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
