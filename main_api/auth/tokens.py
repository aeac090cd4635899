"""Makes and reads the three secrets that people and programs hold: access tokens, refresh tokens, API keys.

Access tokens are JWTs signed with one pinned algorithm. Refresh tokens and API keys are random; the database holds
their HMAC-SHA256 under a pepper that is not in the database. Who they belong to is the store's affair.
"""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import Unauthenticated
from shared.without import without

with without("cryptography"):  # it is for the algorithms that we refuse
    import jwt

ALGORITHM: Final = "HS256"
ISSUER: Final = "twinport"
AUDIENCE: Final = "twinport"
_REQUIRED_CLAIMS: Final = ["iss", "aud", "exp", "iat", "jti", "sub", "type", "fam"]
_MAX_TOKEN_LENGTH: Final = 4096
_CLOCK_SKEW_S: Final = 10
"""How far the clocks of two replicas may differ."""

_API_KEY = re.compile(r"ak_[0-9a-f]{64}")


class InvalidToken(Unauthenticated):
    """A token that is forged, expired, revoked or of the wrong kind; which of them is not said."""

    code = "invalid_token"


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token says, after its signature and times were checked."""

    user_id: int
    family: str
    expires_at: float


class AccessTokens:
    """Issues and reads JWTs. `secret` has at least 32 bytes, `lifetime_s` is in seconds."""

    def __init__(self, secret: str, *, lifetime_s: float) -> None:
        if len(secret.encode()) < 32:
            raise ValueError("The secret of the access tokens needs at least 32 bytes.")
        self._secret = secret
        self.lifetime_s = int(lifetime_s)

    def issue(self, *, user_id: int, family: str, jti: str, now: float) -> str:
        """Return a token; the same arguments give the same token."""
        issued_at = int(now)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "type": "access",
            "fam": family,
            "jti": jti,
            "iat": issued_at,
            "exp": issued_at + self.lifetime_s,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> AccessClaims:
        """Check a token and return its claims; raises `InvalidToken`."""
        if len(token) > _MAX_TOKEN_LENGTH:
            raise _invalid_token()
        try:
            decoded = jwt.decode_complete(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=_CLOCK_SKEW_S,
                options={"require": _REQUIRED_CLAIMS},
            )
        except jwt.PyJWTError:
            raise _invalid_token() from None
        # Ours have these two and nothing that points elsewhere for a key (jku, jwk, kid, x5u) or changes meaning (crit)
        if decoded["header"] != {"alg": ALGORITHM, "typ": "JWT"}:
            raise _invalid_token()
        return _access_claims(decoded["payload"])


def _access_claims(payload: dict[str, Any]) -> AccessClaims:
    user_id, family, expires_at = payload["sub"], payload["fam"], payload["exp"]
    if payload["type"] != "access" or not isinstance(family, str) or not isinstance(expires_at, int | float):
        raise _invalid_token()
    if not re.fullmatch(r"[0-9]{1,18}", user_id):
        raise _invalid_token()
    return AccessClaims(user_id=int(user_id), family=family, expires_at=float(expires_at))


def _invalid_token() -> InvalidToken:
    return InvalidToken("The access token is not valid, or no longer. Sign in again.")


@dataclass(frozen=True, slots=True)
class Rotation:
    """What follows from a refresh token: its successor, and the id of the access token issued with that."""

    refresh_token: str
    jti: str


class OpaqueSecrets:
    """Makes API keys and refresh tokens, and the keyed hashes to store. `pepper` has at least 32 bytes."""

    def __init__(self, pepper: str) -> None:
        if len(pepper.encode()) < 32:
            raise ValueError("The pepper of the stored keys needs at least 32 bytes.")
        self._pepper = pepper.encode()

    def new_api_key(self) -> str:
        """Return `ak_` and 32 random bytes in hex (portal document)."""
        return f"ak_{secrets.token_hex(32)}"

    def hash_api_key(self, key: str) -> str | None:
        """Return the hash of an API key, or None if it cannot be one."""
        if not _API_KEY.fullmatch(key):
            return None
        return self._digest(b"api-key:", key).hex()

    def new_refresh_token(self) -> str:
        """Return the first refresh token of a family."""
        return f"rt_{secrets.token_urlsafe(32)}"

    def hash_refresh_token(self, token: str) -> str:
        """Return the hash of a refresh token; any string may be asked about."""
        return self._digest(b"refresh:", token).hex()

    def rotation_of(self, token: str) -> Rotation:
        """Derive what a refresh token is exchanged for.

        Derived rather than random: when an exchange is repeated because its answer was lost, or because two tabs
        asked at once, every replica can give the identical answer without having stored it. Only the pepper's holder
        can derive it.
        """
        successor = base64.urlsafe_b64encode(self._digest(b"successor:", token)).decode().rstrip("=")
        return Rotation(refresh_token=f"rt_{successor}", jti=self._digest(b"jti:", token).hex()[:32])

    def _digest(self, purpose: bytes, secret: str) -> bytes:
        return hmac.digest(self._pepper, purpose + secret.encode("utf-8", "surrogatepass"), "sha256")
