"""The files that tools made, for the people whose runs made them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlmodel import col, delete

from main_api.db import Database
from main_api.toolbox.client import ArtifactDownload, ToolsClient
from main_api.toolbox.tables import ArtifactOwner
from shared.errors import NotFound
from shared.tools_contract import Artifact


class Artifacts:
    """Remembers owners in the database and fetches files from the tools API, which deletes them after `ttl_hours`."""

    def __init__(self, db: Database, tools: ToolsClient, *, ttl_hours: float) -> None:
        self._db = db
        self._tools = tools
        self._ttl = timedelta(hours=ttl_hours)

    async def claim(self, user_id: int, artifacts: Sequence[Artifact]) -> None:
        """Note that `user_id` may download these; forget those that no longer exist."""
        now = datetime.now(UTC)
        async with self._db.transaction() as db:
            await db.exec(delete(ArtifactOwner).where(col(ArtifactOwner.created_at) < now - self._ttl))
            for artifact in artifacts:  # a file keeps its first owner, whatever a later result says
                if await db.get(ArtifactOwner, artifact.id) is None:
                    db.add(ArtifactOwner(artifact_id=artifact.id, user_id=user_id, created_at=now))

    @asynccontextmanager
    async def open(self, user_id: int, artifact_id: str) -> AsyncGenerator[ArtifactDownload]:
        """Open a file. Raises `NotFound` for another person's just as for none."""
        async with self._db.session() as db:
            owner = await db.get(ArtifactOwner, artifact_id)
        if owner is None or owner.user_id != user_id:
            raise NotFound("There is no such artifact.")
        async with self._tools.artifact(artifact_id) as download:
            yield download


async def forget_owner(db: Database, user_id: int) -> None:
    """Forget which artifacts an account that goes away could download."""
    async with db.transaction() as session:
        await session.exec(delete(ArtifactOwner).where(col(ArtifactOwner.user_id) == user_id))
