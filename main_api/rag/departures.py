"""An account that is deleted takes its collections along, at once or as soon as the tools API can be reached.

It is noted before the account goes, so that no crash in between leaves documents behind; nothing is deleted while the
account still exists.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, delete, select

from main_api.auth.principal import person_word
from main_api.auth.service import AuthService
from main_api.db import Database
from main_api.rag.call import RagCall, target_of
from main_api.rag.client import RagClient
from main_api.rag.tables import DepartedPerson
from shared.errors import TwinportError
from shared.logging import get_logger
from shared.tools_contract import JsonObject

_log = get_logger("rag")

_LOOK_EVERY_S = 60.0
_LAST_LOOK = timedelta(minutes=2)
"""After so long no token of the account is good anywhere, and a look at what is left is the last one."""
_CHANGED_THEIR_MIND = timedelta(days=1)
_PAGE = 100
_SILENCE_S = 15.0


class Departures:
    """Enter the lifespan with `start` and leave it with `aclose`; the command line calls `note` and `settle`."""

    def __init__(self, db: Database, client: RagClient, auth: AuthService, *, every_s: float = _LOOK_EVERY_S) -> None:
        self._db = db
        self._client = client
        self._auth = auth
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def note(self, user_id: int) -> None:
        """Write down that an account is about to be deleted."""
        async with self._db.transaction() as db:
            await db.merge(DepartedPerson(user_id=user_id, left_at=datetime.now(UTC)))

    async def settle(self) -> bool:
        """Delete the collections of those who have left; say whether all could be reached."""
        async with self._db.session() as db:
            waiting = (await db.exec(select(DepartedPerson))).all()
        still_here = await self._auth.usernames({one.user_id for one in waiting})
        reached = True
        for one in waiting:
            since = datetime.now(UTC) - one.left_at
            if one.user_id in still_here:
                done = since > _CHANGED_THEIR_MIND
            else:
                done = await self._forgotten(one.user_id)
                reached = reached and done
                done = done and since > _LAST_LOOK
            if done:
                await self._strike_out(one.user_id)
        return reached

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="departures")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self.settle()
            except (TwinportError, SQLAlchemyError) as error:
                _log.error("departures wait for the database", kind=type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def _forgotten(self, user_id: int) -> bool:
        """Delete what an account owns; say whether it worked."""
        person = person_word(user_id)
        try:
            for collection in await self._owned(person):
                await self._delete(person, collection)
        except TwinportError as error:
            _log.warning("documents of a deleted account wait", user_id=user_id, reason=error.message)
            return False
        return True

    async def _owned(self, person: str) -> list[str]:
        """Return the ids of a person's own collections, read to the end before any of them goes."""
        found: list[str] = []
        query = f"limit={_PAGE}"
        while True:
            call = RagCall(method="GET", target=target_of(["collections"], query), person=person, silence_s=_SILENCE_S)
            page = await self._client.object(call)
            found += [str(one["id"]) for one in _objects(page) if one.get("role") == "owner"]
            if not page.get("has_more"):
                return found
            query = f"limit={_PAGE}&after={page['last_id']}"

    async def _delete(self, person: str, collection: str) -> None:
        target = target_of(["collections", collection])
        try:
            await self._client.object(RagCall(method="DELETE", target=target, person=person, silence_s=_SILENCE_S))
        except TwinportError as error:
            if error.status != 404:  # it went meanwhile
                raise

    async def _strike_out(self, user_id: int) -> None:
        async with self._db.transaction() as db:
            await db.exec(delete(DepartedPerson).where(col(DepartedPerson.user_id) == user_id))


def _objects(page: JsonObject) -> Sequence[JsonObject]:
    data: Any = page.get("data")
    return cast("Sequence[JsonObject]", data) if isinstance(data, list) else ()
