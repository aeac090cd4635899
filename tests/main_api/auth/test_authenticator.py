"""Credentials on the way in: conflicts, caches that must not outlive a revocation, and speed."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import thread_time

import pytest
from sqlalchemy import event

from main_api.auth.service import AuthService, NewAccount
from main_api.db import Database
from shared.errors import Unauthenticated
from tests.main_api.auth.conftest import PASSWORD, SERVICE_KEY, make_auth
from tests.yardstick import small_chat_in_json

ADA = NewAccount(username="ada", password=PASSWORD)


async def new_key(auth: AuthService) -> tuple[str, int, int]:
    account = await auth.create_user(ADA)
    secret, key = await auth.keys.create(account.id, name="k")
    return secret, key.id, account.id


async def access_token(auth: AuthService) -> str:
    await auth.create_user(ADA)
    return (await auth.login(username="ada", password=PASSWORD, address="a")).access_token


async def test_a_token_is_a_person_with_every_scope(auth: AuthService) -> None:
    principal = await auth.authenticate(authorization=f"Bearer {await access_token(auth)}", api_key=None)
    assert (principal.username, principal.role, principal.credential) == ("ada", "user", "token")
    assert principal.scopes == {"chat", "models", "sessions", "tools"}
    assert principal.is_person
    assert principal.session_family is not None


async def test_an_api_key_is_a_program_that_knows_its_own_number(auth: AuthService) -> None:
    secret, key_id, user_id = await new_key(auth)
    principal = await auth.authenticate(authorization=None, api_key=secret)
    assert (principal.user_id, principal.key_id, principal.credential) == (user_id, key_id, "api_key")


@pytest.mark.parametrize("header", ["authorization", "api_key"])
async def test_the_service_key_may_chat_and_nothing_else(sqlite_auth: AuthService, header: str) -> None:
    sent = {"authorization": None, "api_key": None}
    sent[header] = f"Bearer {SERVICE_KEY}" if header == "authorization" else SERVICE_KEY
    principal = await sqlite_auth.authenticate(**sent)
    assert (principal.user_id, principal.credential, principal.scopes) == (0, "service", {"chat"})


async def test_the_same_key_in_both_headers_is_one_credential(auth: AuthService) -> None:
    secret, _, user_id = await new_key(auth)
    assert (await auth.authenticate(authorization=f"Bearer {secret}", api_key=secret)).user_id == user_id


async def test_two_different_credentials_are_refused_even_if_both_are_good(sqlite_auth: AuthService) -> None:
    secret, _, _ = await new_key(sqlite_auth)
    for authorization in (f"Bearer {SERVICE_KEY}", "Bearer nonsense", "Bearer ", "Basic eDp5"):
        with pytest.raises(Unauthenticated):
            await sqlite_auth.authenticate(authorization=authorization, api_key=secret)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic eDp5", "Token x", "Bearer  ", "\0"])
async def test_a_header_that_is_no_bearer_is_refused(sqlite_auth: AuthService, authorization: str) -> None:
    with pytest.raises(Unauthenticated):
        await sqlite_auth.authenticate(authorization=authorization, api_key=None)


@pytest.mark.parametrize(
    "key",
    ["", "ak_", "ak_' OR 1=1--", "ak_" + "0" * 64, "ak_" + "G" * 64, "ak_" + "a" * 100_000, "ak_é", "AK_" + "a" * 64],
)
async def test_a_key_that_is_none_is_refused(auth: AuthService, key: str) -> None:
    with pytest.raises(Unauthenticated):
        await auth.authenticate(authorization=None, api_key=key)


async def test_a_token_in_the_header_for_keys_is_refused_with_advice(sqlite_auth: AuthService) -> None:
    with pytest.raises(Unauthenticated, match="Bearer"):
        await sqlite_auth.authenticate(authorization=None, api_key=await access_token(sqlite_auth))


async def test_nothing_that_opens_anything_is_in_the_database(sqlite_auth: AuthService, db: Database, tmp_path) -> None:  # type: ignore[no-untyped-def]
    secret, _, _ = await new_key(sqlite_auth)
    tokens = await sqlite_auth.login(username="ada", password=PASSWORD, address="a")
    refreshed = await sqlite_auth.refresh(tokens.refresh_token)
    dump = b"".join(path.read_bytes() for path in tmp_path.glob("twinport.db*"))
    assert b"ada" in dump
    for canary in (PASSWORD, secret, secret[11:], tokens.refresh_token, refreshed.refresh_token, tokens.access_token):
        assert canary.encode() not in dump


async def test_nothing_that_opens_anything_is_in_the_logs(
    sqlite_auth: AuthService, capfd: pytest.CaptureFixture[str]
) -> None:
    secret, _, _ = await new_key(sqlite_auth)
    tokens = await sqlite_auth.login(username="ada", password=PASSWORD, address="a")
    refreshed = await sqlite_auth.refresh(tokens.refresh_token)
    await sqlite_auth.refresh(refreshed.refresh_token)
    for attempt in (
        sqlite_auth.refresh(tokens.refresh_token),
        sqlite_auth.login(username="ada", password="wr0ng horse", address="a"),
    ):
        with pytest.raises(Unauthenticated):
            await attempt
    logged = "".join(capfd.readouterr())
    assert "used twice" in logged
    for canary in (PASSWORD, "wr0ng horse", secret, tokens.refresh_token, tokens.access_token, refreshed.refresh_token):
        assert canary not in logged


async def test_changes_by_another_process_are_seen_when_the_cache_is_stale(db: Database) -> None:
    here, elsewhere = make_auth(db, cache_ttl_s=0.05), make_auth(db)
    secret, _, _ = await new_key(here)
    await here.authenticate(authorization=None, api_key=secret)
    await elsewhere.set_disabled("ada", disabled=True)
    await asyncio.sleep(0.06)
    with pytest.raises(Unauthenticated):
        await here.authenticate(authorization=None, api_key=secret)
    await here.aclose()
    await elsewhere.aclose()


async def test_a_key_expires_while_it_is_cached(sqlite_auth: AuthService) -> None:
    account = await sqlite_auth.create_user(ADA)
    at = datetime.now(UTC) + timedelta(seconds=0.2)
    secret, _ = await sqlite_auth.keys.create(account.id, name="k", expires_at=at)
    await sqlite_auth.authenticate(authorization=None, api_key=secret)
    await asyncio.sleep(0.25)
    with pytest.raises(Unauthenticated, match="expired"):
        await sqlite_auth.authenticate(authorization=None, api_key=secret)


async def test_a_warm_credential_reads_no_database_and_a_cold_one_is_read_once(db: Database) -> None:
    auth = make_auth(db)
    secret, _, _ = await new_key(auth)
    statements: list[str] = []
    engine = db._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    await asyncio.gather(*(auth.authenticate(authorization=None, api_key=secret) for _ in range(100)))
    selects = [statement for statement in statements if statement.startswith("SELECT")]
    assert len(selects) == 1
    statements.clear()
    await auth.authenticate(authorization=f"Bearer {secret}", api_key=None)
    assert statements == []
    await auth.aclose()


async def test_a_revocation_during_a_cold_read_is_not_forgotten(db: Database) -> None:
    """A read that began before the revocation must not fill the cache after it."""
    auth = make_auth(db, cache_ttl_s=60)
    secret, key_id, user_id = await new_key(auth)
    for _ in range(30):
        auth._authenticator.evict(user_id)
        reading = asyncio.create_task(auth.authenticate(authorization=None, api_key=secret))
        await asyncio.sleep(0)
        if not reading.done():
            break
    await auth.keys.revoke(user_id, key_id)
    await asyncio.gather(reading, return_exceptions=True)
    with pytest.raises(Unauthenticated):
        await auth.authenticate(authorization=None, api_key=secret)
    await auth.aclose()


async def test_one_caller_that_leaves_does_not_fail_the_others(db: Database) -> None:
    auth = make_auth(db)
    secret, _, user_id = await new_key(auth)
    first = asyncio.create_task(auth.authenticate(authorization=None, api_key=secret))
    second = asyncio.create_task(auth.authenticate(authorization=None, api_key=secret))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).user_id == user_id
    await auth.aclose()


async def test_of_a_thousand_cancelled_requests_none_gets_the_name_of_another(db: Database) -> None:
    auth = make_auth(db, cache_ttl_s=0)  # always cold: every request reads the database
    keys: dict[str, int] = {}
    for number in range(10):
        account = await auth.create_user(NewAccount(username=f"user{number}", password=PASSWORD))
        keys[(await auth.keys.create(account.id, name="k"))[0]] = account.id

    async def ask(secret: str, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                assert (await auth.authenticate(authorization=None, api_key=secret)).user_id == keys[secret]
        except TimeoutError:
            return

    for batch in range(20):
        await asyncio.gather(*(ask(secret, 0.0005 * (batch % 7)) for secret in keys for _ in range(5)))
    await asyncio.gather(*(ask(secret, 30) for secret in keys))
    await auth.aclose()


async def test_the_cache_is_bounded(db: Database) -> None:
    auth = make_auth(db, cache_size=3)
    account = await auth.create_user(ADA)
    for _ in range(10):
        secret, _ = await auth.keys.create(account.id, name="k")
        await auth.authenticate(authorization=None, api_key=secret)
    assert len(auth._authenticator._known) == 3
    await auth.aclose()


@pytest.mark.parametrize("kind", ["key", "token"])
async def test_a_warm_credential_costs_less_than_two_small_chats_in_json(db: Database, kind: str) -> None:
    auth = make_auth(db, cache_ttl_s=600)
    if kind == "key":
        sent = {"authorization": None, "api_key": (await new_key(auth))[0]}
    else:
        sent = {"authorization": f"Bearer {await access_token(auth)}", "api_key": None}
    best = 1.0
    for _ in range(5):
        started = thread_time()
        for _ in range(2000):
            await auth.authenticate(**sent)
        best = min(best, (thread_time() - started) / 2000)
    assert best < 2 * small_chat_in_json()
    await auth.aclose()
