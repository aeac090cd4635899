"""Forged, confused and expired tokens: every one is refused, whichever way it is wrong."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable

import jwt
import pytest

from main_api.auth.service import AuthService, NewAccount
from main_api.auth.tokens import ALGORITHM, AUDIENCE, ISSUER, AccessTokens, InvalidToken, OpaqueSecrets
from shared.errors import Unauthenticated
from tests.main_api.auth.conftest import JWT_SECRET, PASSWORD, PEPPER

_LIFETIME_S = 3600


def claims(**changes: object) -> dict[str, object]:
    """Return the claims of a good token, changed; `None` leaves one out."""
    now = int(time.time())
    good = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "1", "type": "access", "fam": "f" * 32, "jti": "j",
        "iat": now, "exp": now + 60,
    }  # fmt: skip
    return {name: value for name, value in (good | changes).items() if value is not None}


def b64(value: bytes | dict[str, object]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: dict[str, object], payload: dict[str, object], key: str = JWT_SECRET) -> str:
    """Sign by hand, as an attacker does: no library refuses anything on the way out."""
    signing_input = f"{b64(header)}.{b64(payload)}"
    return f"{signing_input}.{b64(hmac.digest(key.encode(), signing_input.encode(), hashlib.sha256))}"


GOOD_HEADER = {"alg": "HS256", "typ": "JWT"}
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"

FORGERIES: dict[str, Callable[[], str]] = {
    "alg none": lambda: f"{b64({'alg': 'none', 'typ': 'JWT'})}.{b64(claims())}.",
    "alg None": lambda: f"{b64({'alg': 'None', 'typ': 'JWT'})}.{b64(claims())}.",
    "alg NoNe with a signature": lambda: signed({"alg": "NoNe", "typ": "JWT"}, claims()),
    "alg missing": lambda: signed({"typ": "JWT"}, claims()),
    "alg HS512": lambda: jwt.encode(claims(), JWT_SECRET, algorithm="HS512"),
    "alg RS256 over an HMAC": lambda: signed({"alg": "RS256", "typ": "JWT"}, claims()),
    "signed with a public key": lambda: signed(GOOD_HEADER, claims(), PUBLIC_KEY),
    "signed with the empty key": lambda: signed(GOOD_HEADER, claims(), ""),
    "signed with the pepper": lambda: signed(GOOD_HEADER, claims(), PEPPER),
    "crit": lambda: signed(GOOD_HEADER | {"crit": ["exp"]}, claims()),
    "b64 false": lambda: signed(GOOD_HEADER | {"crit": ["b64"], "b64": False}, claims()),
    "jku": lambda: signed(GOOD_HEADER | {"jku": "http://127.0.0.1:9/keys"}, claims()),
    "jwk": lambda: signed(GOOD_HEADER | {"jwk": {"kty": "oct", "k": b64(b"k")}}, claims(), "k"),
    "x5u": lambda: signed(GOOD_HEADER | {"x5u": "http://127.0.0.1:9/"}, claims()),
    "kid path": lambda: signed(GOOD_HEADER | {"kid": "../../../../dev/null"}, claims(), ""),
    "kid SQL": lambda: signed(GOOD_HEADER | {"kid": "' OR pg_sleep(8)--"}, claims()),
    "typ of something else": lambda: signed({"alg": "HS256", "typ": "JWE"}, claims()),
    "expired": lambda: signed(GOOD_HEADER, claims(exp=int(time.time()) - 60)),
    "exp missing": lambda: signed(GOOD_HEADER, claims(exp=None)),
    "exp a word": lambda: signed(GOOD_HEADER, claims(exp="never")),
    "exp infinite": lambda: signed(GOOD_HEADER, claims(exp=float("inf"))),
    "iat missing": lambda: signed(GOOD_HEADER, claims(iat=None)),
    "iat to come": lambda: signed(GOOD_HEADER, claims(iat=int(time.time()) + 600)),
    "nbf to come": lambda: signed(GOOD_HEADER, claims(nbf=int(time.time()) + 600)),
    "iss missing": lambda: signed(GOOD_HEADER, claims(iss=None)),
    "iss wrong": lambda: signed(GOOD_HEADER, claims(iss="evil")),
    "aud missing": lambda: signed(GOOD_HEADER, claims(aud=None)),
    "aud wrong": lambda: signed(GOOD_HEADER, claims(aud="tools")),
    "jti missing": lambda: signed(GOOD_HEADER, claims(jti=None)),
    "sub missing": lambda: signed(GOOD_HEADER, claims(sub=None)),
    "sub a number": lambda: signed(GOOD_HEADER, claims(sub=1)),
    "sub SQL": lambda: signed(GOOD_HEADER, claims(sub="1 OR 1=1")),
    "sub with other digits": lambda: signed(GOOD_HEADER, claims(sub="١")),
    "sub huge": lambda: signed(GOOD_HEADER, claims(sub="9" * 400)),
    "type refresh": lambda: signed(GOOD_HEADER, claims(type="refresh")),
    "type missing": lambda: signed(GOOD_HEADER, claims(type=None)),
    "family missing": lambda: signed(GOOD_HEADER, claims(fam=None)),
    "family a list": lambda: signed(GOOD_HEADER, claims(fam=["f"])),
    "signature cut": lambda: signed(GOOD_HEADER, claims())[:-5],
    "four parts": lambda: signed(GOOD_HEADER, claims()) + ".x",
    "payload a list": lambda: signed(GOOD_HEADER, ["x"]),  # type: ignore[arg-type]
    "too long": lambda: signed(GOOD_HEADER, claims(extra="x" * 10_000)),
    "nothing": lambda: "..",
    "nonsense": lambda: "' OR pg_sleep(8)--",
    "a NUL": lambda: "a.b\0.c",
    "not ASCII": lambda: "é.é.é",
}


def test_the_claims_that_the_forgeries_start_from_are_good() -> None:
    read = AccessTokens(JWT_SECRET, lifetime_s=_LIFETIME_S).read(signed(GOOD_HEADER, claims()))
    assert (read.user_id, read.family) == (1, "f" * 32)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_access_token_is_refused(forgery: str) -> None:
    with pytest.raises(InvalidToken):
        AccessTokens(JWT_SECRET, lifetime_s=_LIFETIME_S).read(FORGERIES[forgery]())


async def test_every_forgery_is_401_on_the_way_in(sqlite_auth: AuthService) -> None:
    await sqlite_auth.create_user(NewAccount(username="ada", password=PASSWORD))
    started = time.thread_time()
    for forge in FORGERIES.values():
        with pytest.raises(Unauthenticated) as caught:
            await sqlite_auth.authenticate(authorization=f"Bearer {forge()}", api_key=None)
        assert caught.value.status == 401
    assert time.thread_time() - started < 1, "none may cost much to refuse"


async def test_a_well_signed_token_of_a_family_that_never_was_is_refused(sqlite_auth: AuthService) -> None:
    await sqlite_auth.create_user(NewAccount(username="ada", password=PASSWORD))
    with pytest.raises(InvalidToken):
        await sqlite_auth.authenticate(authorization=f"Bearer {signed(GOOD_HEADER, claims())}", api_key=None)


async def test_a_refresh_token_is_no_access_token_and_the_other_way_round(sqlite_auth: AuthService) -> None:
    await sqlite_auth.create_user(NewAccount(username="ada", password=PASSWORD))
    tokens = await sqlite_auth.login(username="ada", password=PASSWORD, address="a")
    with pytest.raises(Unauthenticated):
        await sqlite_auth.authenticate(authorization=f"Bearer {tokens.refresh_token}", api_key=None)
    with pytest.raises(InvalidToken):
        await sqlite_auth.refresh(tokens.access_token)


def test_short_secrets_are_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        AccessTokens("short", lifetime_s=1)
    with pytest.raises(ValueError, match="32 bytes"):
        OpaqueSecrets("short")


def test_the_pinned_algorithm_is_the_only_one() -> None:
    assert ALGORITHM == "HS256"
    header = jwt.get_unverified_header(
        AccessTokens(JWT_SECRET, lifetime_s=1).issue(user_id=1, family="f", jti="j", now=0)
    )
    assert header == GOOD_HEADER
