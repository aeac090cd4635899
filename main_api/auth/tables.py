"""The tables of accounts. A dump of them opens nothing: passwords, keys and refresh tokens are stored as hashes."""

from datetime import datetime

from sqlmodel import Field

from main_api.db import Record, UtcDateTime

# SQLite gives the number of a deleted row to the next one; AUTOINCREMENT does not. A new account must never get
# the sessions and files that another one left under its number.
_NEVER_REUSED = {"sqlite_autoincrement": True}


class User(Record, table=True):
    """An account."""

    __tablename__ = "users"
    __table_args__ = _NEVER_REUSED

    id: int | None = Field(default=None, primary_key=True)
    username: str = Field(max_length=64)
    username_key: str = Field(max_length=64, unique=True)
    """The name in lower case: two names that differ in case only are one."""
    email: str | None = Field(default=None, max_length=320)
    password_hash: str = Field(max_length=60)
    role: str = Field(max_length=16)
    created_at: datetime = Field(sa_type=UtcDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ApiKey(Record, table=True):
    """An API key: HMAC-SHA256 of it, and its first characters to recognise it by."""

    __tablename__ = "api_keys"
    __table_args__ = _NEVER_REUSED

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    name: str = Field(max_length=100)
    prefix: str = Field(max_length=16)
    key_hash: str = Field(max_length=64, unique=True)
    scopes: str = Field(max_length=200)
    """Space-separated, as in OAuth."""
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TokenFamily(Record, table=True):
    """One login and everything refreshed from it; revoking it ends them all."""

    __tablename__ = "token_families"

    id: str = Field(primary_key=True, max_length=32)
    user_id: int = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RefreshToken(Record, table=True):
    """A refresh token: HMAC-SHA256 of it. `used_at` is set when it is rotated."""

    __tablename__ = "refresh_tokens"

    token_hash: str = Field(primary_key=True, max_length=64)
    family_id: str = Field(foreign_key="token_families.id", ondelete="CASCADE", index=True, max_length=32)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
