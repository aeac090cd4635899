"""`Database`: sessions for reading, transactions for writing, on SQLite or PostgreSQL.

SQLite runs in WAL mode: readers and one writer at a time, also across processes. The writers of this process queue on
a fair lock instead of polling the file, so nobody starves; other processes are waited for by `busy_timeout`.
No session or transaction may stay open across a model, tool or network call.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from sqlalchemy import String, column, inspect, select, table, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.database.engine import make_engine, sqlite_path
from shared.database.failures import translated_failures
from shared.database.migrate import Migrations, upgrade_in_child


class Database:
    """One database. `url` is SQLAlchemy's, with the driver aiosqlite or asyncpg; an SQLite URL names a file.
    `migrations` make its tables; two processes may keep theirs in one database, each with its own version table.

    Every method raises `Unavailable` when the database cannot be reached and `StorageFull` when its disk is full.
    """

    def __init__(self, url: str, migrations: Migrations) -> None:
        self._url = url
        self._migrations = migrations
        self._path = sqlite_path(url)
        self._engine = make_engine(url)
        self._reads = async_sessionmaker(self._engine, class_=AsyncSession, expire_on_commit=False)
        writing = self._engine.execution_options(write=True)
        self._writes = async_sessionmaker(writing, class_=AsyncSession, expire_on_commit=False)
        self._writer: AbstractAsyncContextManager[object] = asyncio.Lock() if self._path else nullcontext()

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[AsyncSession]:
        """Open a session that only reads, on one snapshot."""
        with translated_failures():
            async with self._reads() as session:
                yield session

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Open a session that writes: committed when the block ends, rolled back when it raises.

        On SQLite nothing else writes meanwhile; on PostgreSQL lock the rows that you decide by.
        """
        async with self._writer:
            with translated_failures():
                async with self._writes.begin() as session:
                    yield session

    async def ping(self) -> None:
        """Read something trivial; raises `Unavailable`."""
        async with self.session() as session:
            await (await session.connection()).execute(text("SELECT 1"))

    async def migrate(self) -> None:
        """Bring the tables up to date; safe beside other processes and after a kill.

        Runs in a process of its own, and only when there is something to do: Alembic would stay in this one's memory.
        Raises `DatabaseTooNew`.
        """
        if await self._is_current():
            return
        await upgrade_in_child(self._url, self._migrations)

    async def _is_current(self) -> bool:
        if self._path is not None and not self._path.exists():
            return False
        applied = table(self._migrations.version_table, column("version_num", String))
        with translated_failures():
            async with self._reads() as session:
                connection = await session.connection()
                if not await connection.run_sync(lambda sync: inspect(sync).has_table(applied.name)):
                    return False
                versions = (await connection.execute(select(applied.c.version_num))).scalars().all()
        return list(versions) == [self._migrations.newest()]

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
