"""Accounts and API keys as the rest of the program sees them, and the errors about them. No SQL, no HTTP."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from main_api.auth.principal import ALL_SCOPES, Role
from main_api.auth.tables import ApiKey, User
from shared.errors import Conflict, InvalidRequest, NotFound, PermissionDenied, Unauthenticated

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{2,63}")


class InvalidCredentials(Unauthenticated):
    """Wrong name or wrong password; which of them is not said. The words are the portal document's."""

    code = "invalid_credentials"

    def __init__(self) -> None:
        super().__init__("Invalid credentials")


class UsernameTaken(Conflict):
    """Another account has this name, in this or another case."""

    code = "username_taken"

    def __init__(self, username: str) -> None:
        super().__init__(f"The username {username!r} is taken; choose another one.", param="username")


class UserNotFound(NotFound):
    """No account has this name."""

    def __init__(self, username: str) -> None:
        super().__init__(f"There is no user {username!r}.", param="username")


class AdminRefused(PermissionDenied):
    """Somebody asked for the role admin who may not have it."""

    def __init__(self) -> None:
        super().__init__(
            "Only an admin can make another admin. The very first account may be made one from this machine itself, "
            "or at any time on the command line: twinport user create NAME --role admin.",
            param="role",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account without its secrets."""

    id: int
    username: str
    email: str | None
    role: Role
    created_at: datetime
    disabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """An API key without its secret."""

    id: int
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedTokens:
    """What a login or a refresh answers with. `expires_in` is the access token's life in seconds."""

    account: Account
    access_token: str
    refresh_token: str
    expires_in: int


def username_key(username: str) -> str | None:
    """Return the form under which a name is unique, or None if no account can have it.

    3 to 64 ASCII letters, digits and `. _ - @ +`, beginning with a letter or digit: nothing that looks like another.
    """
    return username.lower() if _USERNAME.fullmatch(username) else None


def require_username_key(username: str) -> str:
    """Return the form under which a name is unique; raises `InvalidRequest`."""
    key = username_key(username)
    if key is None:
        raise InvalidRequest(
            "The username must have 3 to 64 letters (a-z), digits or . _ - @ + and begin with a letter or digit.",
            param="username",
        )
    return key


def require_key_name(name: str) -> str:
    """Return a name for an API key; raises `InvalidRequest`."""
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidRequest("The name of an API key must have 1 to 100 printable characters.", param="keyName")
    return name


def require_scopes(scopes: list[str] | None) -> frozenset[str]:
    """Return the scopes of a new key, all if none are named; raises `InvalidRequest`."""
    chosen = ALL_SCOPES if scopes is None else frozenset(scopes)
    if not chosen or not chosen <= ALL_SCOPES:
        raise InvalidRequest(
            f"The scopes of an API key are one or more of {', '.join(sorted(ALL_SCOPES))}.", param="scopes"
        )
    return chosen


def account_of(row: User) -> Account:
    """Return the account in a row that was stored."""
    return Account(
        id=cast("int", row.id),
        username=row.username,
        email=row.email,
        role=cast("Role", row.role),
        created_at=row.created_at,
        disabled=row.disabled_at is not None,
    )


def key_info_of(row: ApiKey) -> KeyInfo:
    """Return the key in a row that was stored."""
    return KeyInfo(
        id=cast("int", row.id),
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
