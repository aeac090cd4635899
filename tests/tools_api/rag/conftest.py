"""Retrieval behind its paths, in the test's own event loop, with an encoder that needs no model."""

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.database.migrate import upgrade
from tests.tools_api.conftest import KEY, OTHER_KEY, Serve
from tests.tools_api.rag.encoders import NamedEncoder
from tools_api.db import MIGRATIONS
from tools_api.rag.open import RagOptions, open_rag
from tools_api.rag.retrieval import Retrieval


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
    url: str
    retrieval: Retrieval
    sessions: list[aiohttp.ClientSession]

    def person(self, name: str | None, key: str = KEY) -> Person:
        headers = {"Authorization": f"Bearer {key}", **({} if name is None else {"X-Acting-For": name})}
        session = aiohttp.ClientSession(headers=headers)
        self.sessions.append(session)
        return Person(self.url, session)

    def other_service(self, name: str | None = None) -> Person:
        return self.person(name, OTHER_KEY)


ServeRag = Callable[..., AbstractAsyncContextManager[ServedRag]]


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty catalogue that is up to date: bringing one there takes a process of its own."""
    path = tmp_path_factory.mktemp("catalogue") / "tools.db"
    upgrade(f"sqlite+aiosqlite:///{path}", MIGRATIONS)
    return path


@pytest.fixture
def serve_rag(serve: Serve, catalogue: Path, tmp_path: Path) -> ServeRag:
    @asynccontextmanager
    async def serving(**options: Any) -> AsyncGenerator[ServedRag]:
        database = tmp_path / "tools.db"
        if not database.exists():
            shutil.copyfile(catalogue, database)
        given = RagOptions(
            folder=tmp_path / "rag",
            database_url=f"sqlite+aiosqlite:///{database}",
            database_file=database,
            jobs_url=f"sqlite:///{tmp_path / 'jobs.db'}",
            **options,
        )
        async with open_rag(given, encoder=NamedEncoder("model-1")) as retrieval, serve(rag=retrieval) as served:
            rag = ServedRag(served.url, retrieval, [])
            try:
                yield rag
            finally:
                for session in rag.sessions:
                    await session.close()

    return serving
