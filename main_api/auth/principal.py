"""Who is calling."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "admin"]
Credential = Literal["token", "api_key", "service"]

ALL_SCOPES = frozenset({"chat", "models", "sessions", "tools"})
"""What an API key may be limited to. A person's token has them all; the service key has `chat`, without agents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The authenticated caller of one request. `user_id` 0 is the service key."""

    user_id: int
    username: str
    role: Role
    credential: Credential
    scopes: frozenset[str] = ALL_SCOPES
    key_id: int | None = None
    session_family: str | None = None
    """The refresh-token family that the access token belongs to; `logout` revokes it."""

    @property
    def is_person(self) -> bool:
        return self.credential == "token"

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"
