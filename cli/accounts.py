"""The accounts of this installation, for the command line: `AuthService` on the database that the settings name."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from config import Settings
from main_api.auth.accounts import Account, UserNotFound
from main_api.auth.principal import Role
from main_api.auth.service import AuthOptions, AuthService, NewAccount
from main_api.db import Database
from main_api.sessions.service import SessionOptions, open_sessions
from main_api.toolbox.artifacts import forget_owner

Result = TypeVar("Result")


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

    def delete(self, username: str) -> int:
        """Delete an account and all that is its own; return how many conversations went with it."""
        user_id = self._run(lambda auth: auth.delete_user(username))
        return asyncio.run(self._delete_belongings(user_id))

    async def _delete_belongings(self, user_id: int) -> int:
        db = Database(self._settings.async_database_url)
        try:
            await forget_owner(db, user_id)
        finally:
            await db.aclose()
        async with open_sessions(SessionOptions(folder=self._settings.data_dir / "sessions")) as sessions:
            return await sessions.delete_user(user_id)

    def _run(self, work: Callable[[AuthService], Awaitable[Result]]) -> Result:
        return asyncio.run(self._with_service(work))

    async def _with_service(self, work: Callable[[AuthService], Awaitable[Result]]) -> Result:
        db = Database(self._settings.async_database_url)
        auth = AuthService(
            db,
            options=AuthOptions(
                jwt_secret=self._settings.secret("jwt_secret_key"), pepper=self._settings.secret("api_key_pepper")
            ),
        )
        try:
            await db.migrate()
            return await work(auth)
        finally:
            await auth.aclose()
            await db.aclose()
