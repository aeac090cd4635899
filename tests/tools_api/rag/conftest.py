"""Retrieval behind its paths, in the test's own event loop, with an encoder that needs no model."""

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.tools_api.conftest import KEY, OTHER_KEY, Serve
from tests.tools_api.rag.encoders import HashedWords
from tools_api.db import Database
from tools_api.rag.open import open_rag
from tools_api.rag.options import RagOptions
from tools_api.rag.parsing import ParsingOptions
from tools_api.rag.retrieval import Retrieval
from tools_api.rag.tool import RagTool
from tools_api.sandbox import SandboxOptions


@dataclass(frozen=True)
class Person:
    """Somebody for whom a service calls: `ask` returns the status and the body."""

    url: str
    client: aiohttp.ClientSession

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self.client.request(method, f"{self.url}{path}", **more) as answer:
            return answer.status, await answer.json()


@dataclass
class ServedRag:
    """`database` is a second way to the catalogue, for what tests plant."""

    url: str
    retrieval: Retrieval
    database: Database
    encoder: HashedWords
    sessions: list[aiohttp.ClientSession]

    def person(self, name: str | None, key: str = KEY) -> Person:
        headers = {"Authorization": f"Bearer {key}", **({} if name is None else {"X-Acting-For": name})}
        session = aiohttp.ClientSession(headers=headers)
        self.sessions.append(session)
        return Person(self.url, session)

    def other_service(self, name: str | None = None) -> Person:
        return self.person(name, OTHER_KEY)


ServeRag = Callable[..., AbstractAsyncContextManager[ServedRag]]


@pytest.fixture
def serve_rag(serve: Serve, migrated_catalogue: Path, tmp_path: Path) -> ServeRag:
    @asynccontextmanager
    async def serving(**options: Any) -> AsyncGenerator[ServedRag]:
        database = tmp_path / "tools.db"
        if not database.exists():
            shutil.copyfile(migrated_catalogue, database)
        given = RagOptions(
            folder=tmp_path / "rag",
            database_url=f"sqlite+aiosqlite:///{database}",
            database_file=database,
            jobs_url=f"sqlite:///{tmp_path / 'jobs.db'}",
            parsing=ParsingOptions(sandbox=SandboxOptions(levels=())),
            **options,
        )
        encoder = HashedWords("model-1")
        own = Database(given.database_url)
        async with (
            aclosing(own),
            open_rag(given, encoder=encoder) as retrieval,
            serve(RagTool(retrieval), rag=retrieval, encoder=encoder) as served,
        ):
            rag = ServedRag(served.url, retrieval, own, encoder, [])
            try:
                yield rag
            finally:
                for session in rag.sessions:
                    await session.close()

    return serving
