"""`AuthService`: accounts, sign-in, tokens and API keys, for the endpoints and for the command line. Knows no HTTP.

Every login opens a family: an access token names it, and its refresh token is exchanged within it. Revoking families is
how tokens end early (logout, a new password, another role, a disabled account, a refresh token used twice).
"""

import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from main_api.auth import store
from main_api.auth.accounts import (
    Account,
    AdminRefused,
    InvalidCredentials,
    IssuedTokens,
    UsernameTaken,
    UserNotFound,
    account_of,
    require_username_key,
    username_key,
)
from main_api.auth.authenticator import Authenticator
from main_api.auth.keys import ApiKeys
from main_api.auth.last_used import LastUsed
from main_api.auth.passwords import PasswordHasher, check_new_password
from main_api.auth.principal import Principal, Role
from main_api.auth.refresh import TokenIssuer
from main_api.auth.tables import User
from main_api.auth.tokens import AccessTokens, OpaqueSecrets
from main_api.db import Database
from main_api.limits.limit import SIGN_IN_PER_ACCOUNT_AND_ADDRESS
from main_api.limits.service import RateLimiter
from shared.errors import Conflict, NotFound
from shared.logging import get_logger

_log = get_logger("auth")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthOptions:
    """The secrets and times of `AuthService`.

    `jwt_secret` signs access tokens, `pepper` keys the hashes of API keys and refresh tokens (32 bytes or more each).
    `service_key` is what the tools API authenticates with. Lifetimes are in seconds.
    """

    jwt_secret: str
    pepper: str
    service_key: str | None = None
    access_lifetime_s: float = 7 * 24 * 3600
    refresh_lifetime_s: float = 30 * 24 * 3600
    bcrypt_rounds: int = 12
    cache_size: int = 10_000
    cache_ttl_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """What somebody who signs up asks for."""

    username: str
    password: str
    email: str | None = None
    role: Role = "user"
    needs_special: bool = False
    """The portal's rule: the password must hold a special character."""


class AuthService:
    """Accounts and everything that proves who somebody is. `limits` slows down guessing of passwords.

    `clock` tells the time in seconds since the epoch.
    """

    def __init__(
        self,
        db: Database,
        *,
        options: AuthOptions,
        limits: RateLimiter | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._limits = limits or RateLimiter(enabled=False)
        self._clock = clock
        self._passwords = PasswordHasher(rounds=options.bcrypt_rounds)
        opaque = OpaqueSecrets(options.pepper)
        tokens = AccessTokens(options.jwt_secret, lifetime_s=options.access_lifetime_s)
        self._issuer = TokenIssuer(
            tokens=tokens, opaque=opaque, refresh_lifetime_s=options.refresh_lifetime_s, clock=clock
        )
        self._authenticator = Authenticator(
            db,
            tokens=tokens,
            opaque=opaque,
            service_key=options.service_key,
            cache_size=options.cache_size,
            cache_ttl_s=options.cache_ttl_s,
        )
        self.last_used = LastUsed(db)
        self.keys = ApiKeys(db, opaque=opaque, evict=self._authenticator.evict, clock=clock)

    # Who is calling

    async def authenticate(self, *, authorization: str | None, api_key: str | None) -> Principal:
        """Return who sends the headers `Authorization` and `X-API-Key`. Raises `Unauthenticated`."""
        return await self._authenticator.authenticate(authorization=authorization, api_key=api_key)

    # Accounts

    async def sign_up(self, new: NewAccount, *, requested_by: Principal | None, is_local: bool) -> Account:
        """Make an account for whoever asks.

        `admin` is granted to an admin who asks (`requested_by`), and to the very first account when it is asked for
        on this machine (`is_local`); everyone else gets `AdminRefused`. Raises `UsernameTaken`, `InvalidRequest`.
        """
        by_admin = requested_by is not None and requested_by.is_person and requested_by.is_admin
        if new.role == "admin" and not by_admin:
            if not is_local:
                raise AdminRefused
            return await self._create(new, only_if_first=True)
        return await self._create(new, only_if_first=False)

    async def create_user(self, new: NewAccount) -> Account:
        """Make an account with any role; for the command line, whose user owns the database."""
        return await self._create(new, only_if_first=False)

    async def list_users(self) -> list[Account]:
        """Return every account, oldest first."""
        async with self._db.session() as db:
            return [account_of(row) for row in await store.list_users(db)]

    async def account(self, user_id: int) -> Account:
        """Return an account. Raises `NotFound`."""
        async with self._db.session() as db:
            row = await store.get_user(db, user_id)
        if row is None:
            raise NotFound("This account does not exist any more.")
        return account_of(row)

    async def account_named(self, username: str) -> Account:
        """Return the account of this name, in whatever case. Raises `UserNotFound`."""
        async with self._db.session() as db:
            return account_of(await self._find(db, username))

    async def usernames(self, user_ids: Collection[int]) -> dict[int, str]:
        """Return the names of those of these accounts that exist."""
        async with self._db.session() as db:
            return {cast("int", row.id): row.username for row in await store.get_users(db, user_ids)}

    async def set_password(self, username: str, password: str) -> None:
        """Set a password without knowing the old one, and end every session; for the command line."""
        check_new_password(password, needs_special=False)
        hashed = await self._passwords.hash(password)

        def change(row: User) -> None:
            row.password_hash = hashed

        await self._change(username, change)

    async def set_role(self, username: str, role: Role) -> None:
        """Change a role, and end every session."""

        def change(row: User) -> None:
            row.role = role

        await self._change(username, change)

    async def set_disabled(self, username: str, *, disabled: bool) -> None:
        """Disable an account (its tokens end and its API keys are refused) or enable it again."""

        def change(row: User) -> None:
            row.disabled_at = self._now() if disabled else None

        await self._change(username, change)

    async def delete_user(self, username: str) -> int:
        """Delete an account with its API keys and tokens; return its number, which is never given to another one."""
        async with self._db.transaction() as db:
            row = await self._find(db, username)
            user_id = cast("int", row.id)
            await store.delete_user(db, user_id)
        self._authenticator.evict(user_id)
        _log.info("account deleted", user_id=user_id)
        return user_id

    # Signing in and out

    async def login(self, *, username: str, password: str, address: str) -> IssuedTokens:
        """Exchange a name and a password for tokens.

        A wrong name, a wrong password and a disabled account look the same and take the same time. Raises
        `InvalidCredentials`, and `RateLimited` when one address guesses at one account for too long.
        """
        user = await self._verified(username, password, address)
        async with self._db.transaction() as db:
            current = await store.lock_user(db, cast("int", user.id))
            if current is None or current.disabled_at or current.password_hash != user.password_hash:
                raise InvalidCredentials  # changed while we were hashing
            await store.delete_expired_tokens(db, cast("int", current.id), self._now())
            issued = await self._issuer.open_family(db, current)
        _log.info("signed in", user_id=issued.account.id)
        return issued

    async def refresh(self, refresh_token: str) -> IssuedTokens:
        """Exchange a refresh token for the next pair; see `TokenIssuer.rotate`. Raises `InvalidToken`."""
        async with self._db.transaction() as db:
            outcome = await self._issuer.rotate(db, refresh_token)
        if outcome.revoked_user_id is not None:
            self._authenticator.evict(outcome.revoked_user_id)
            _log.warning("refresh token used twice; its family is revoked", user_id=outcome.revoked_user_id)
        return outcome.issued_or_raise()

    async def logout(self, principal: Principal) -> None:
        """Revoke the family of the access token: it and its refresh token are refused from now on."""
        if principal.session_family is None:
            return
        async with self._db.transaction() as db:
            await store.revoke_family(db, principal.session_family, self._now())
        self._authenticator.evict(principal.user_id)
        _log.info("signed out", user_id=principal.user_id)

    async def change_password(self, principal: Principal, *, old: str, new: str, address: str) -> IssuedTokens:
        """Change the caller's password: every token so far is revoked, the answer holds the only good ones.

        API keys stay: they never depended on the password. Raises `InvalidCredentials`, `UnacceptablePassword`.
        """
        check_new_password(new, needs_special=False)
        user = await self._verified(principal.username, old, address)
        hashed = await self._passwords.hash(new)
        async with self._db.transaction() as db:
            current = await store.lock_user(db, principal.user_id)
            if current is None or current.disabled_at or current.password_hash != user.password_hash:
                raise Conflict("The account changed at the same time; sign in again.")
            current.password_hash = hashed
            await store.revoke_families_of(db, principal.user_id, self._now())
            issued = await self._issuer.open_family(db, current)
        self._authenticator.evict(principal.user_id)
        _log.info("password changed", user_id=principal.user_id)
        return issued

    async def aclose(self) -> None:
        """Stop the hashing threads, and write down when keys were last used."""
        await self.last_used.aclose()
        self._passwords.close()

    async def _create(self, new: NewAccount, *, only_if_first: bool) -> Account:
        key = require_username_key(new.username)
        check_new_password(new.password, needs_special=new.needs_special)
        await self._refuse_before_hashing(key, new, only_if_first=only_if_first)
        row = User(
            username=new.username,
            username_key=key,
            email=new.email,
            password_hash=await self._passwords.hash(new.password),
            role=new.role,
            created_at=self._now(),
        )
        try:
            async with self._db.transaction() as db:
                if only_if_first:
                    await store.lock_first_account(db)
                    if await store.has_users(db):
                        raise AdminRefused
                db.add(row)
                await db.flush()
        except IntegrityError:
            raise UsernameTaken(new.username) from None
        _log.info("account made", user_id=row.id, role=row.role)
        return account_of(row)

    async def _refuse_before_hashing(self, key: str, new: NewAccount, *, only_if_first: bool) -> None:
        """Answer the common refusals at once; the transaction that follows decides."""
        async with self._db.session() as db:
            if only_if_first and await store.has_users(db):
                raise AdminRefused
            if await store.find_user(db, key) is not None:
                raise UsernameTaken(new.username)

    async def _verified(self, username: str, password: str, address: str) -> User:
        """Return the account if the password is right; raises `InvalidCredentials` or `RateLimited`."""
        key = username_key(username)
        subject = hashlib.sha256(f"{key}\n{address}".encode()).hexdigest()  # names stay out of the counters
        await self._limits.hit(SIGN_IN_PER_ACCOUNT_AND_ADDRESS, subject)
        user = None
        if key is not None:
            async with self._db.session() as db:
                user = await store.find_user(db, key)
        matches = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not matches or user.disabled_at:
            _log.warning("sign-in refused", user_id=user.id if user else None, address=address)
            raise InvalidCredentials
        await self._limits.forget(SIGN_IN_PER_ACCOUNT_AND_ADDRESS, subject)
        return user

    async def _change(self, username: str, change: Callable[[User], None]) -> None:
        """Change an account and end every session of it."""
        async with self._db.transaction() as db:
            row = await self._find(db, username)
            user_id = cast("int", row.id)
            change(row)
            await store.revoke_families_of(db, user_id, self._now())
        self._authenticator.evict(user_id)
        _log.info("account changed", user_id=user_id, role=row.role, disabled=row.disabled_at is not None)

    @staticmethod
    async def _find(db: AsyncSession, username: str) -> User:
        key = username_key(username)
        row = await store.find_user(db, key) if key else None
        if row is None:
            raise UserNotFound(username)
        return row

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
