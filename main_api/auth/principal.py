"""Who is calling."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "admin"]
Credential = Literal["token", "api_key", "service"]

ALL_SCOPES = frozenset({"chat", "models", "sessions", "tools"})
"""What an API key may be limited to. A person's token has them all; the service key has `chat`, without agents."""


_PERSON = "user-"


def person_word(user_id: int) -> str:
    """Return the word by which the tools API knows an account."""
    return f"{_PERSON}{user_id}"


def user_id_in(word: str) -> int | None:
    """Return the account of such a word, or None if it is none."""
    digits = word.removeprefix(_PERSON)
    return int(digits) if digits != word and digits.isascii() and digits.isdigit() and len(digits) < 19 else None


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
    def person(self) -> str:
        """The caller in a word for the tools API, which knows services and not accounts; nobody else ever gets it."""
        return person_word(self.user_id)

    @property
    def is_person(self) -> bool:
        return self.credential == "token"

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"
