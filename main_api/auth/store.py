"""The SQL of accounts, keys and tokens. Each function works in the session that it is given and commits nothing."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from main_api.auth.tables import ApiKey, RefreshToken, TokenFamily, User

_FIRST_ACCOUNT_LOCK = 7_494_190_115  # any number but the migrations'; the same in every process


async def find_user(db: AsyncSession, username_key: str) -> User | None:
    return (await db.exec(select(User).where(User.username_key == username_key))).first()


async def lock_user(db: AsyncSession, user_id: int) -> User | None:
    """Read an account and keep others from changing it until the transaction ends."""
    return (await db.exec(select(User).where(User.id == user_id).with_for_update())).first()


async def get_user(db: AsyncSession, user_id: int) -> User | None:
    return await db.get(User, user_id)


async def get_users(db: AsyncSession, user_ids: Collection[int]) -> Sequence[User]:
    return (await db.exec(select(User).where(col(User.id).in_(user_ids)))).all() if user_ids else ()


async def list_users(db: AsyncSession) -> Sequence[User]:
    return (await db.exec(select(User).order_by(col(User.id)))).all()


async def has_users(db: AsyncSession) -> bool:
    return (await db.exec(select(User.id).limit(1))).first() is not None


async def lock_first_account(db: AsyncSession) -> None:
    """Let one transaction at a time ask whether there are accounts; SQLite has one writer at a time anyway."""
    connection = await db.connection()
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FIRST_ACCOUNT_LOCK})


async def delete_user(db: AsyncSession, user_id: int) -> None:
    """Delete an account; its keys and tokens go with it by their foreign keys."""
    await (await db.connection()).execute(delete(User).where(col(User.id) == user_id))


async def find_person(db: AsyncSession, user_id: int, family_id: str) -> User | None:
    """Return the account of an access token, unless the account is disabled or the token's family revoked."""
    return (
        await db.exec(
            select(User)
            .join(TokenFamily, col(TokenFamily.user_id) == User.id)
            .where(
                User.id == user_id,
                TokenFamily.id == family_id,
                col(TokenFamily.revoked_at).is_(None),
                col(User.disabled_at).is_(None),
            )
        )
    ).first()


async def find_api_key(db: AsyncSession, key_hash: str) -> tuple[ApiKey, User] | None:
    """Return a key and its account, unless the key is revoked or the account disabled. Expiry is not looked at."""
    return (
        await db.exec(
            select(ApiKey, User)
            .join(User, col(ApiKey.user_id) == User.id)
            .where(
                ApiKey.key_hash == key_hash,
                col(ApiKey.revoked_at).is_(None),
                col(User.disabled_at).is_(None),
            )
        )
    ).first()


async def list_api_keys(db: AsyncSession, user_id: int) -> Sequence[ApiKey]:
    return (await db.exec(select(ApiKey).where(ApiKey.user_id == user_id).order_by(col(ApiKey.id)))).all()


async def count_active_keys(db: AsyncSession, user_id: int) -> int:
    statement = select(func.count()).where(ApiKey.user_id == user_id, col(ApiKey.revoked_at).is_(None))
    return (await db.exec(statement)).one()


async def get_api_key(db: AsyncSession, *, user_id: int, key_id: int) -> ApiKey | None:
    return (await db.exec(select(ApiKey).where(ApiKey.id == key_id, ApiKey.user_id == user_id))).first()


async def touch_api_keys(db: AsyncSession, used_at: Mapping[int, datetime]) -> None:
    """Note when keys were last used; a time before the one that is stored changes nothing."""
    connection = await db.connection()
    for key_id, at in sorted(used_at.items()):  # always in one order, or two replicas would wait for each other
        unseen = col(ApiKey.last_used_at).is_(None) | (col(ApiKey.last_used_at) < at)
        await connection.execute(update(ApiKey).where(col(ApiKey.id) == key_id, unseen).values(last_used_at=at))


async def lock_family_of(db: AsyncSession, token_hash: str) -> tuple[TokenFamily, User] | None:
    """Return the family of a refresh token and its account; nobody else refreshes in it until the transaction ends."""
    family_of_token = select(RefreshToken.family_id).where(RefreshToken.token_hash == token_hash).scalar_subquery()
    return (
        await db.exec(
            select(TokenFamily, User)
            .join(User, col(TokenFamily.user_id) == User.id)
            .where(TokenFamily.id == family_of_token)
            .with_for_update(of=TokenFamily)
        )
    ).first()


async def get_refresh_token(db: AsyncSession, token_hash: str) -> RefreshToken | None:
    return (await db.exec(select(RefreshToken).where(RefreshToken.token_hash == token_hash))).first()


async def revoke_family(db: AsyncSession, family_id: str, now: datetime) -> None:
    await _revoke(db, col(TokenFamily.id) == family_id, now)


async def revoke_families_of(db: AsyncSession, user_id: int, now: datetime) -> None:
    await _revoke(db, col(TokenFamily.user_id) == user_id, now)


async def delete_expired_tokens(db: AsyncSession, user_id: int, now: datetime) -> None:
    """Forget families and refresh tokens of an account that time has ended."""
    connection = await db.connection()
    families = select(TokenFamily.id).where(TokenFamily.user_id == user_id)
    await connection.execute(
        delete(RefreshToken).where(col(RefreshToken.family_id).in_(families), col(RefreshToken.expires_at) < now)
    )
    await connection.execute(
        delete(TokenFamily).where(col(TokenFamily.user_id) == user_id, col(TokenFamily.expires_at) < now)
    )


async def _revoke(db: AsyncSession, which: ColumnElement[bool], now: datetime) -> None:
    statement = update(TokenFamily).where(which, col(TokenFamily.revoked_at).is_(None)).values(revoked_at=now)
    await (await db.connection()).execute(statement)
