"""API keys: made, listed, revoked. Looking one up on a request is the `Authenticator`'s affair."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, cast

from main_api.auth import store
from main_api.auth.accounts import KeyInfo, key_info_of, require_key_name, require_scopes
from main_api.auth.tables import ApiKey
from main_api.auth.tokens import OpaqueSecrets
from main_api.db import Database
from shared.errors import Conflict, InvalidRequest, NotFound
from shared.logging import get_logger

_log = get_logger("auth")

MAX_KEYS_PER_USER: Final = 100


class ApiKeys:
    """The API keys of all accounts. `evict` is told whose keys changed; `clock` is in seconds since the epoch."""

    def __init__(
        self, db: Database, *, opaque: OpaqueSecrets, evict: Callable[[int], None], clock: Callable[[], float]
    ) -> None:
        self._db = db
        self._opaque = opaque
        self._evict = evict
        self._clock = clock

    async def create(
        self, user_id: int, *, name: str, scopes: list[str] | None = None, expires_at: datetime | None = None
    ) -> tuple[str, KeyInfo]:
        """Make an API key; the first half of the answer is the key itself, which is stored nowhere."""
        if expires_at is not None and expires_at <= self._now():
            raise InvalidRequest("The API key would have expired already; choose a time to come.", param="expiresAt")
        secret = self._opaque.new_api_key()
        row = ApiKey(
            user_id=user_id,
            name=require_key_name(name),
            prefix=secret[:11],
            key_hash=cast("str", self._opaque.hash_api_key(secret)),
            scopes=" ".join(sorted(require_scopes(scopes))),
            created_at=self._now(),
            expires_at=expires_at,
        )
        async with self._db.transaction() as db:
            if await store.lock_user(db, user_id) is None:
                raise NotFound("This account does not exist any more.")
            if await store.count_active_keys(db, user_id) >= MAX_KEYS_PER_USER:
                raise Conflict(f"An account can have {MAX_KEYS_PER_USER} API keys; revoke one first.")
            db.add(row)
            await db.flush()
        _log.info("api key made", user_id=user_id, key_id=row.id)
        return secret, key_info_of(row)

    async def of_user(self, user_id: int) -> list[KeyInfo]:
        """Return the keys of an account, revoked ones too, oldest first."""
        async with self._db.session() as db:
            return [key_info_of(row) for row in await store.list_api_keys(db, user_id)]

    async def revoke(self, user_id: int, key_id: int) -> KeyInfo:
        """Revoke a key for good; doing it twice is no error. Raises `NotFound`, also for somebody else's key."""
        async with self._db.transaction() as db:
            row = await store.get_api_key(db, user_id=user_id, key_id=key_id)
            if row is None:
                raise NotFound("There is no such API key.")
            row.revoked_at = row.revoked_at or self._now()
        self._evict(user_id)
        _log.info("api key revoked", user_id=user_id, key_id=key_id)
        return key_info_of(row)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
