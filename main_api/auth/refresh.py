"""Opens token families and rotates refresh tokens within them. The caller brings the transaction.

A refresh token is good for one exchange (RFC 9700, section 4.14.2). Using it again means that two parties hold it, so
the whole family is revoked, with one exception: within ten seconds, and only while its successor is unused, the same
answer is given again. That is a client whose answer was lost, or two tabs of one browser; there is still one family
with one successor, so a thief gains nothing that the next exchange would not reveal.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from sqlmodel.ext.asyncio.session import AsyncSession

from main_api.auth import store
from main_api.auth.accounts import IssuedTokens, account_of
from main_api.auth.tables import RefreshToken, TokenFamily, User
from main_api.auth.tokens import AccessTokens, InvalidToken, OpaqueSecrets

REPLAY_WINDOW: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class RotationOutcome:
    """What came of an exchange. It is a value because a revocation has to be committed before anything is raised."""

    issued: IssuedTokens | None = None
    revoked_user_id: int | None = None
    """Set when the token was used a second time and its family was revoked."""

    def issued_or_raise(self) -> IssuedTokens:
        """Return the new pair; raises `InvalidToken` if there is none."""
        if self.issued is None:
            raise InvalidToken("The refresh token is not valid, or no longer. Sign in again.")
        return self.issued


class TokenIssuer:
    """Issues pairs of access and refresh token. `clock` tells the time in seconds since the epoch."""

    def __init__(
        self, *, tokens: AccessTokens, opaque: OpaqueSecrets, refresh_lifetime_s: float, clock: Callable[[], float]
    ) -> None:
        self._tokens = tokens
        self._opaque = opaque
        self._refresh_lifetime = timedelta(seconds=refresh_lifetime_s)
        # A family must outlive its access tokens: they are looked up in it
        self._family_lifetime = timedelta(seconds=max(refresh_lifetime_s, tokens.lifetime_s))
        self._clock = clock

    async def open_family(self, db: AsyncSession, user: User) -> IssuedTokens:
        """Start a family for an account that has just proved who it is."""
        now = self._now()
        family = TokenFamily(
            id=secrets.token_hex(16),
            user_id=cast("int", user.id),
            created_at=now,
            expires_at=now + self._family_lifetime,
        )
        db.add(family)
        await db.flush()
        return self._issue(db, user, family, refresh_token=self._opaque.new_refresh_token(), jti=secrets.token_hex(16))

    async def rotate(self, db: AsyncSession, refresh_token: str) -> RotationOutcome:
        """Exchange a refresh token, or find that it must not be."""
        token_hash = self._opaque.hash_refresh_token(refresh_token)
        found = await store.lock_family_of(db, token_hash)
        token = await store.get_refresh_token(db, token_hash)
        if found is None or token is None:
            return RotationOutcome()
        family, user = found
        now = self._now()
        if family.revoked_at or user.disabled_at or token.expires_at <= now:
            return RotationOutcome()
        next_pair = self._opaque.rotation_of(refresh_token)
        if token.used_at is None:
            token.used_at = now
            family.expires_at = now + self._family_lifetime
            return RotationOutcome(
                self._issue(db, user, family, refresh_token=next_pair.refresh_token, jti=next_pair.jti)
            )
        successor = await store.get_refresh_token(db, self._opaque.hash_refresh_token(next_pair.refresh_token))
        if successor is not None and successor.used_at is None and now - token.used_at <= REPLAY_WINDOW:
            return RotationOutcome(self._pair(user, family.id, next_pair.refresh_token, next_pair.jti, token.used_at))
        family.revoked_at = now
        return RotationOutcome(revoked_user_id=user.id)

    def _issue(
        self, db: AsyncSession, user: User, family: TokenFamily, *, refresh_token: str, jti: str
    ) -> IssuedTokens:
        now = self._now()
        row = RefreshToken(
            token_hash=self._opaque.hash_refresh_token(refresh_token),
            family_id=family.id,
            expires_at=now + self._refresh_lifetime,
        )
        db.add(row)
        return self._pair(user, family.id, refresh_token, jti, now)

    def _pair(self, user: User, family_id: str, refresh_token: str, jti: str, at: datetime) -> IssuedTokens:
        account = account_of(user)
        access_token = self._tokens.issue(user_id=account.id, family=family_id, jti=jti, now=at.timestamp())
        return IssuedTokens(
            account=account,
            access_token=access_token,
            refresh_token=refresh_token,
            expires_in=self._tokens.lifetime_s,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
