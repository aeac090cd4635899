"""Rotation of refresh tokens, races, revocation, and what can be learned from refusals."""

import asyncio
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import process_time, time

import pytest
from sqlmodel import col, select

from main_api.auth import store
from main_api.auth.accounts import AdminRefused, InvalidCredentials, IssuedTokens, UsernameTaken, UserNotFound
from main_api.auth.keys import MAX_KEYS_PER_USER
from main_api.auth.passwords import PasswordHasher, UnacceptablePassword
from main_api.auth.service import AuthService, NewAccount
from main_api.auth.tables import ApiKey, RefreshToken, TokenFamily
from main_api.auth.tokens import InvalidToken
from main_api.db import Database
from main_api.limits.service import RateLimiter
from shared.errors import Conflict, NotFound, RateLimited, Unauthenticated, Unavailable
from tests.main_api.auth.conftest import PASSWORD, make_auth

ADA = NewAccount(username="ada", password=PASSWORD)


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def sign_in(auth: AuthService, password: str = PASSWORD) -> IssuedTokens:
    return await auth.login(username="ada", password=password, address="198.51.100.7")


async def is_let_in(auth: AuthService, token: str) -> bool:
    try:
        await auth.authenticate(authorization=f"Bearer {token}", api_key=None)
    except Unauthenticated:
        return False
    return True


# Refresh tokens


async def test_a_chain_of_refreshes_works(auth: AuthService) -> None:
    await auth.create_user(ADA)
    tokens = await sign_in(auth)
    seen = {tokens.refresh_token}
    for _ in range(5):
        tokens = await auth.refresh(tokens.refresh_token)
        assert await is_let_in(auth, tokens.access_token)
        seen.add(tokens.refresh_token)
    assert len(seen) == 6


async def test_using_a_rotated_token_again_revokes_the_whole_family(any_db: Database, clock: Clock) -> None:
    auth = make_auth(any_db, clock=clock)
    await auth.create_user(ADA)
    first = await sign_in(auth)
    second = await auth.refresh(first.refresh_token)
    assert await is_let_in(auth, second.access_token)
    clock.ahead = 11
    with pytest.raises(InvalidToken):
        await auth.refresh(first.refresh_token)
    assert not await is_let_in(auth, second.access_token)
    assert not await is_let_in(auth, first.access_token)
    with pytest.raises(InvalidToken):
        await auth.refresh(second.refresh_token)
    await auth.aclose()


async def test_the_revocation_for_reuse_is_committed(any_db: Database, clock: Clock) -> None:
    auth = make_auth(any_db, clock=clock)
    await auth.create_user(ADA)
    first = await sign_in(auth)
    await auth.refresh(first.refresh_token)
    clock.ahead = 11
    with pytest.raises(InvalidToken):
        await auth.refresh(first.refresh_token)
    async with any_db.session() as session:
        assert (await session.exec(select(TokenFamily.revoked_at))).one() is not None
    await auth.aclose()


async def test_repeating_an_exchange_within_ten_seconds_gives_the_identical_answer(auth: AuthService) -> None:
    await auth.create_user(ADA)
    tokens = await sign_in(auth)
    assert await auth.refresh(tokens.refresh_token) == await auth.refresh(tokens.refresh_token)


async def test_a_restarted_replica_repeats_the_identical_answer(any_db: Database) -> None:
    auth, other = make_auth(any_db), make_auth(any_db)
    await auth.create_user(ADA)
    tokens = await sign_in(auth)
    assert await auth.refresh(tokens.refresh_token) == await other.refresh(tokens.refresh_token)
    await auth.aclose()
    await other.aclose()


async def test_once_the_successor_was_used_even_a_quick_repetition_is_reuse(auth: AuthService) -> None:
    await auth.create_user(ADA)
    first = await sign_in(auth)
    second = await auth.refresh(first.refresh_token)
    third = await auth.refresh(second.refresh_token)
    with pytest.raises(InvalidToken):
        await auth.refresh(first.refresh_token)
    assert not await is_let_in(auth, third.access_token)


async def test_of_twenty_parallel_refreshes_all_get_one_identical_answer_in_one_live_family(any_db: Database) -> None:
    replicas = [make_auth(any_db), make_auth(any_db)]
    await replicas[0].create_user(ADA)
    tokens = await sign_in(replicas[0])
    answers = await asyncio.gather(*(replicas[number % 2].refresh(tokens.refresh_token) for number in range(20)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert len({answer.access_token for answer in answers}) == 1
    async with any_db.session() as session:
        families = (await session.exec(select(TokenFamily).where(col(TokenFamily.revoked_at).is_(None)))).all()
        unused = (await session.exec(select(RefreshToken).where(col(RefreshToken.used_at).is_(None)))).all()
    assert (len(families), len(unused)) == (1, 1)
    for replica in replicas:
        await replica.aclose()


@pytest.mark.parametrize("token", ["", "rt_", "rt_" + "a" * 43, "' OR 1=1--", "\0", "é", "x" * 100_000, "\ud800"])
async def test_a_refresh_token_that_is_none_is_refused(sqlite_auth: AuthService, token: str) -> None:
    with pytest.raises(InvalidToken):
        await sqlite_auth.refresh(token)


async def test_an_expired_refresh_token_is_refused(db: Database, clock: Clock) -> None:
    auth = make_auth(db, clock=clock, refresh_lifetime_s=3600)
    await auth.create_user(ADA)
    tokens = await sign_in(auth)
    clock.ahead = 3601
    with pytest.raises(InvalidToken):
        await auth.refresh(tokens.refresh_token)
    await auth.aclose()


async def test_a_clock_that_is_set_an_hour_back_or_forth_signs_nobody_out(db: Database, clock: Clock) -> None:
    auth = make_auth(db, clock=clock)
    await auth.create_user(ADA)
    tokens = await sign_in(auth)
    clock.ahead = 3600
    tokens = await auth.refresh(tokens.refresh_token)
    clock.ahead = -3600
    tokens = await auth.refresh(tokens.refresh_token)
    clock.ahead = 0
    assert await is_let_in(auth, tokens.access_token)
    await auth.aclose()


async def test_expired_tokens_are_forgotten_at_the_next_login(db: Database, clock: Clock) -> None:
    auth = make_auth(db, clock=clock)
    await auth.create_user(ADA)
    for _ in range(5):
        await auth.refresh((await sign_in(auth)).refresh_token)
    clock.ahead = 31 * 24 * 3600
    await sign_in(auth)
    async with db.session() as session:
        assert len((await session.exec(select(TokenFamily))).all()) == 1
        assert len((await session.exec(select(RefreshToken))).all()) == 1
    await auth.aclose()


# Revocation


@pytest.mark.parametrize(
    "change",
    [
        lambda auth: auth.set_disabled("ada", disabled=True),
        lambda auth: auth.set_role("ada", "admin"),
        lambda auth: auth.set_password("ada", "another horse 2"),
        lambda auth: auth.delete_user("ada"),
    ],
    ids=["disabled", "role", "password", "deleted"],
)
async def test_a_change_of_the_account_ends_its_tokens_at_once(
    auth: AuthService, change: Callable[[AuthService], asyncio.Future[None]]
) -> None:
    await auth.create_user(ADA)
    tokens = await sign_in(auth)
    assert await is_let_in(auth, tokens.access_token)
    await change(auth)
    assert not await is_let_in(auth, tokens.access_token)
    with pytest.raises(InvalidToken):
        await auth.refresh(tokens.refresh_token)


@pytest.mark.parametrize("how", ["disabled", "deleted"])
async def test_a_disabled_or_deleted_account_takes_its_api_keys_along(auth: AuthService, how: str) -> None:
    account = await auth.create_user(ADA)
    secret, _ = await auth.keys.create(account.id, name="k")
    assert await is_let_in(auth, secret)
    await (auth.delete_user("ada") if how == "deleted" else auth.set_disabled("ada", disabled=True))
    assert not await is_let_in(auth, secret)
    with pytest.raises(InvalidCredentials):
        await sign_in(auth)


async def test_an_enabled_account_has_its_api_keys_back(auth: AuthService) -> None:
    account = await auth.create_user(ADA)
    secret, _ = await auth.keys.create(account.id, name="k")
    await auth.set_disabled("ada", disabled=True)
    await auth.set_disabled("ada", disabled=False)
    assert await is_let_in(auth, secret)


async def test_deleting_an_account_deletes_its_keys_and_tokens(auth: AuthService, any_db: Database) -> None:
    account = await auth.create_user(ADA)
    await auth.keys.create(account.id, name="k")
    await sign_in(auth)
    await auth.delete_user("ADA")
    async with any_db.session() as session:
        for table in (ApiKey, TokenFamily, RefreshToken):
            assert (await session.exec(select(table))).all() == []


async def test_a_password_changed_during_a_login_wins(db: Database) -> None:
    """The old password must not open a session that survives its own change."""
    auth = make_auth(db, bcrypt_rounds=10)  # slow enough for the change to come in between
    await auth.create_user(ADA)
    login = asyncio.create_task(sign_in(auth))
    await asyncio.sleep(0.02)
    async with db.transaction() as session:
        from main_api.auth.tables import User

        (await session.exec(select(User))).one().password_hash = "$2b$04$" + "x" * 53
    with pytest.raises(InvalidCredentials):
        await login
    await auth.aclose()


# Accounts


async def test_of_two_simultaneous_first_sign_ups_one_becomes_admin(any_db: Database) -> None:
    replicas = [make_auth(any_db), make_auth(any_db)]
    results = await asyncio.gather(
        *(
            replicas[number % 2].sign_up(
                NewAccount(username=f"root{number}", password=PASSWORD, role="admin"), requested_by=None, is_local=True
            )
            for number in range(8)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(result, AdminRefused) for result in results) == 7
    assert [account.role for account in await replicas[0].list_users()] == ["admin"]
    for replica in replicas:
        await replica.aclose()


async def test_of_simultaneous_sign_ups_with_one_name_one_succeeds(any_db: Database) -> None:
    auth = make_auth(any_db)
    names = ("ada", "Ada", "ADA", "aDa")
    results = await asyncio.gather(
        *(auth.create_user(NewAccount(username=name, password=PASSWORD)) for name in names), return_exceptions=True
    )
    assert sum(isinstance(result, UsernameTaken) for result in results) == 3
    assert len(await auth.list_users()) == 1
    await auth.aclose()


async def test_the_command_line_may_make_an_admin_at_any_time(auth: AuthService) -> None:
    await auth.create_user(ADA)
    root = await auth.create_user(NewAccount(username="root1", password=PASSWORD, role="admin"))
    assert root.role == "admin"
    assert [account.username for account in await auth.list_users()] == ["ada", "root1"]


async def test_commands_about_nobody_say_so(sqlite_auth: AuthService) -> None:
    for command in (
        sqlite_auth.set_password("nobody", PASSWORD),
        sqlite_auth.delete_user("nobody"),
        sqlite_auth.set_role("no such\0name", "admin"),
    ):
        with pytest.raises(UserNotFound):
            await command
    with pytest.raises(NotFound):
        await sqlite_auth.account(4711)


async def test_the_number_of_api_keys_is_bounded_and_revoked_ones_do_not_count(sqlite_auth: AuthService) -> None:
    account = await sqlite_auth.create_user(ADA)
    keys = [(await sqlite_auth.keys.create(account.id, name="k"))[1] for _ in range(MAX_KEYS_PER_USER)]
    with pytest.raises(Conflict):
        await sqlite_auth.keys.create(account.id, name="k")
    await sqlite_auth.keys.revoke(account.id, keys[0].id)
    await sqlite_auth.keys.create(account.id, name="k")


async def test_last_use_of_a_key_only_moves_forward(auth: AuthService, any_db: Database) -> None:
    account = await auth.create_user(ADA)
    _, key = await auth.keys.create(account.id, name="k")
    now = datetime.now(UTC)
    for at in (now, now - timedelta(hours=1)):
        async with any_db.transaction() as session:
            await store.touch_api_keys(session, {key.id: at, 4711: at})
    (stored,) = await auth.keys.of_user(account.id)
    assert stored.last_used_at == now


async def test_a_use_that_is_noted_is_written_down_by_the_end(auth: AuthService) -> None:
    account = await auth.create_user(ADA)
    _, used = await auth.keys.create(account.id, name="used")
    _, unused = await auth.keys.create(account.id, name="unused")
    auth.last_used.note(used.id)
    await auth.last_used.aclose()
    stored = {key.id: key.last_used_at for key in await auth.keys.of_user(account.id)}
    assert stored[used.id] is not None
    assert stored[unused.id] is None


# Passwords


async def test_seventy_two_bytes_are_a_password_and_one_more_is_not_cut(auth: AuthService) -> None:
    longest = "1" + "a" * 71
    await auth.create_user(NewAccount(username="ada", password=longest))
    assert (await sign_in(auth, longest)).account.username == "ada"
    for wrong in (longest + "x", longest[:-1], longest[:-1] + "y"):
        with pytest.raises(InvalidCredentials):
            await sign_in(auth, wrong)
    with pytest.raises(UnacceptablePassword):
        await auth.create_user(NewAccount(username="bob", password=longest + "x"))


async def test_one_password_typed_in_two_unicode_forms_is_one(auth: AuthService) -> None:
    await auth.create_user(NewAccount(username="ada", password="cafe\u0301 horse 1"))
    assert await sign_in(auth, "caf\u00e9 horse 1")


@pytest.mark.parametrize("password", ["", "\0", "a" * 1_000_000, "\ud800", "correct horse 1\0", "correct horse 1 "])
async def test_passwords_that_nobody_can_have_are_wrong_and_nothing_else(
    sqlite_auth: AuthService, password: str
) -> None:
    await sqlite_auth.create_user(ADA)
    with pytest.raises(InvalidCredentials):
        await sign_in(sqlite_auth, password)


@pytest.mark.slow
async def test_a_wrong_name_and_a_wrong_password_look_the_same_and_take_the_same_time(db: Database) -> None:
    auth = make_auth(db, bcrypt_rounds=8)
    await auth.create_user(ADA)
    times: dict[str, list[float]] = {"ada": [], "eve": []}
    answers: set[tuple[str, str, int]] = set()
    for _ in range(30):
        for name, taken in times.items():
            started = process_time()  # bcrypt works in a thread
            with pytest.raises(InvalidCredentials) as caught:
                await auth.login(username=name, password="wrong horse 1", address="a")
            taken.append(process_time() - started)
            answers.add((caught.value.message, caught.value.code, caught.value.status))
    assert len(answers) == 1
    known, unknown = (statistics.median(taken) for taken in times.values())
    assert known > 0.005, "bcrypt must have run"
    assert abs(known - unknown) < max(0.1 * known, 0.002)
    await auth.aclose()


async def test_guessing_at_one_account_is_slowed_down_and_success_forgives(db: Database) -> None:
    auth = make_auth(db, limits=RateLimiter())
    await auth.create_user(ADA)
    for _ in range(19):
        with pytest.raises(InvalidCredentials):
            await sign_in(auth, "wrong horse 1")
    await sign_in(auth)
    for _ in range(20):
        with pytest.raises(InvalidCredentials):
            await sign_in(auth, "wrong horse 1")
    with pytest.raises(RateLimited):
        await sign_in(auth)
    assert await auth.login(username="ada", password=PASSWORD, address="203.0.113.1")
    await auth.aclose()


async def test_hashing_does_not_hold_up_the_event_loop(db: Database) -> None:
    auth = make_auth(db, bcrypt_rounds=10)
    await auth.create_user(ADA)
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(sign_in(auth) for _ in range(4)))
    watcher.cancel()
    assert turns > 20, "four hashes on the loop would leave it a few turns between them"
    await auth.aclose()


async def test_a_flood_of_logins_is_turned_away_instead_of_piling_up() -> None:
    hasher = PasswordHasher(rounds=8, max_waiting=4)
    results = await asyncio.gather(*(hasher.verify(PASSWORD, None) for _ in range(20)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Unavailable)]
    assert (len(refused), results.count(False)) == (16, 4)
    assert all(error.retry_after for error in refused)
    assert await hasher.verify(PASSWORD, await hasher.hash(PASSWORD))
    hasher.close()
