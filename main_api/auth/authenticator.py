"""Turns the credential of a request into a `Principal`. The hot path: with a warm cache it reads no database.

What the database says is kept for a few seconds. A change made in this process (logout, revocation, a new password or
role) is seen by the next request; one made by another replica or on the command line after at most `cache_ttl_s`.
"""

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, cast

from main_api.auth import store
from main_api.auth.principal import Principal, Role
from main_api.auth.tokens import AccessTokens, InvalidToken, OpaqueSecrets
from main_api.db import Database
from shared.errors import Unauthenticated

_SERVICE: Final = Principal(
    user_id=0, username="service", role="user", credential="service", scopes=frozenset({"chat"})
)
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    expires_at: float
    """Seconds since the epoch."""
    fresh_until: float
    """On the monotonic clock."""


class Authenticator:
    """Knows API keys, access tokens and the one service key.

    Holds at most `cache_size` principals; the oldest entry makes room. Use it from one event loop.
    """

    def __init__(
        self,
        db: Database,
        *,
        tokens: AccessTokens,
        opaque: OpaqueSecrets,
        service_key: str | None = None,
        cache_size: int = 10_000,
        cache_ttl_s: float = 5.0,
    ) -> None:
        self._db = db
        self._tokens = tokens
        self._opaque = opaque
        self._service_key = service_key.encode() if service_key else None
        self._cache_size = cache_size
        self._cache_ttl_s = cache_ttl_s
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._loading: dict[str, asyncio.Task[_Known]] = {}
        self._generation = 0

    async def authenticate(self, *, authorization: str | None, api_key: str | None) -> Principal:
        """Return who sends these headers: `Authorization` and `X-API-Key`. Raises `Unauthenticated`."""
        credential = _one_credential(authorization, api_key)
        if credential.startswith("ak_"):
            key_hash = self._opaque.hash_api_key(credential)
            if key_hash is None:
                raise _unknown_key()
            return await self._principal(key_hash, self._read_api_key)
        if self._is_service_key(credential):
            return _SERVICE
        if authorization is None:
            raise Unauthenticated("X-API-Key takes an API key (ak_…). Send a token as `Authorization: Bearer …`.")
        return await self._principal(credential, self._read_token)

    def evict(self, user_id: int) -> None:
        """Forget what is known about an account; call it after every change to one."""
        self._generation += 1
        self._loading.clear()  # what they are reading may be from before the change
        for key in [key for key, known in self._known.items() if known.principal.user_id == user_id]:
            del self._known[key]

    async def _principal(self, cache_key: str, read: Callable[[str], Awaitable[_Known]]) -> Principal:
        known = self._known.get(cache_key)
        if known is None or known.fresh_until < time.monotonic():
            known = await self._load(cache_key, read)
        if known.expires_at <= time.time():
            raise Unauthenticated("The API key or token has expired; make a new one or sign in again.")
        return known.principal

    async def _load(self, cache_key: str, read: Callable[[str], Awaitable[_Known]]) -> _Known:
        """Read a credential once, however many requests wait for it; none of them can cancel it for the others."""
        task = self._loading.get(cache_key)
        if task is None:
            task = self._loading[cache_key] = asyncio.create_task(self._read_and_keep(cache_key, read))
            task.add_done_callback(lambda done: self._loaded(cache_key, done))
        return await asyncio.shield(task)

    async def _read_and_keep(self, cache_key: str, read: Callable[[str], Awaitable[_Known]]) -> _Known:
        generation = self._generation
        known = await read(cache_key)
        if generation == self._generation:  # else something changed while we were reading
            self._keep(cache_key, known)
        return known

    def _keep(self, cache_key: str, known: _Known) -> None:
        self._known[cache_key] = known
        self._known.move_to_end(cache_key)
        if len(self._known) > self._cache_size:
            self._known.popitem(last=False)

    def _loaded(self, cache_key: str, task: asyncio.Task[_Known]) -> None:
        if self._loading.get(cache_key) is task:
            del self._loading[cache_key]
        if not task.cancelled():
            task.exception()  # seen: those who waited may all be gone

    async def _read_api_key(self, key_hash: str) -> _Known:
        async with self._db.session() as db:
            found = await store.find_api_key(db, key_hash)
        if found is None:
            raise _unknown_key()
        key, user = found
        principal = Principal(
            user_id=key.user_id,
            username=user.username,
            role=cast("Role", user.role),
            credential="api_key",
            scopes=frozenset(key.scopes.split()),
            key_id=key.id,
        )
        return self._just_read(principal, _NEVER if key.expires_at is None else key.expires_at.timestamp())

    async def _read_token(self, token: str) -> _Known:
        claims = self._tokens.read(token)
        async with self._db.session() as db:
            user = await store.find_person(db, claims.user_id, claims.family)
        if user is None:
            raise InvalidToken("The access token is not valid, or no longer. Sign in again.")
        principal = Principal(
            user_id=claims.user_id,
            username=user.username,
            role=cast("Role", user.role),
            credential="token",
            session_family=claims.family,
        )
        return self._just_read(principal, claims.expires_at)

    def _just_read(self, principal: Principal, expires_at: float) -> _Known:
        return _Known(principal, expires_at, time.monotonic() + self._cache_ttl_s)

    def _is_service_key(self, credential: str) -> bool:
        return self._service_key is not None and hmac.compare_digest(
            credential.encode("utf-8", "surrogatepass"), self._service_key
        )


def _one_credential(authorization: str | None, api_key: str | None) -> str:
    if authorization is None:
        if not api_key:
            raise Unauthenticated("Send an API key (X-API-Key: ak_… or Authorization: Bearer ak_…) or an access token.")
        return api_key
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated("The Authorization header must read `Bearer <token or API key>`.")
    if api_key is not None and api_key != credential:
        raise Unauthenticated("X-API-Key and Authorization carry different credentials; send one of them.")
    return credential


def _unknown_key() -> Unauthenticated:
    return Unauthenticated("The API key is not known, or was revoked.")
