"""The accounts of this installation, for the command line: `AuthService` on the database that the settings name."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import aiohttp

from cli.instance import running
from config import Settings
from main_api.auth.accounts import Account, UserNotFound
from main_api.auth.principal import Role
from main_api.auth.service import AuthOptions, AuthService, NewAccount
from main_api.db import Database
from main_api.rag.client import RagClient
from main_api.rag.departures import Departures
from main_api.sessions.service import SessionOptions, open_sessions
from main_api.toolbox.artifacts import forget_owner
from shared.http_client import create_http_session

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What went with an account. With `documents_wait` the tools API was not there to delete its documents: the main
    API sees to it as soon as it is."""

    conversations: int
    documents_wait: bool


class Accounts:
    """Each method opens the database, brings its tables up to date, does one thing and closes it.

    Raises the errors of `AuthService` and of `Database`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def all(self) -> list[Account]:
        return self._run(lambda auth: auth.list_users())

    def must_exist(self, username: str) -> None:
        """Raise `UserNotFound` before anybody is asked for more."""
        if username.casefold() not in {account.username.casefold() for account in self.all()}:
            raise UserNotFound(username)

    def create(self, username: str, password: str, *, role: str, email: str | None) -> Account:
        new = NewAccount(username=username, password=password, email=email, role=cast("Role", role))
        return self._run(lambda auth: auth.create_user(new))

    def set_password(self, username: str, password: str) -> None:
        self._run(lambda auth: auth.set_password(username, password))

    def delete(self, username: str) -> Deleted:
        """Delete an account and all that is its own."""
        return asyncio.run(self._with_database(lambda auth, db: self._delete(username, auth, db)))

    async def _delete(self, username: str, auth: AuthService, db: Database) -> Deleted:
        async with create_http_session() as http:
            departures = Departures(db, self._tools(http), auth)
            await departures.note((await auth.account_named(username)).id)
            user_id = await auth.delete_user(username)
            await forget_owner(db, user_id)
            documents_gone = await departures.settle()
        async with open_sessions(SessionOptions(folder=self._settings.data_dir / "sessions")) as sessions:
            return Deleted(conversations=await sessions.delete_user(user_id), documents_wait=not documents_gone)

    def _tools(self, http: aiohttp.ClientSession) -> RagClient:
        known = running(self._settings.data_dir)
        url = (known and known.tools_url) or self._settings.tools_base_url
        return RagClient(base_url=url, api_key=self._settings.secret("tools_api_key"), session=http)

    def _run(self, work: Callable[[AuthService], Awaitable[Result]]) -> Result:
        return asyncio.run(self._with_database(lambda auth, _db: work(auth)))

    async def _with_database(self, work: Callable[[AuthService, Database], Awaitable[Result]]) -> Result:
        db = Database(self._settings.async_database_url)
        auth = AuthService(
            db,
            options=AuthOptions(
                jwt_secret=self._settings.secret("jwt_secret_key"), pepper=self._settings.secret("api_key_pepper")
            ),
        )
        try:
            await db.migrate()
            return await work(auth, db)
        finally:
            await auth.aclose()
            await db.aclose()
