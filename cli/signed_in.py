"""A server that knows who is calling: by a key, by a login that was kept, or by one that is asked for."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import typer

from cli import terminal
from cli.api_client import ApiClient, CallFailed
from cli.credentials import LoginFile
from shared.http_client import create_http_session

Client = TypeVar("Client", bound=ApiClient)


class SignedIn(Generic[Client]):
    """Calls one server through a `client`. `runner` lets Ctrl-C cancel the call that runs and nothing else."""

    def __init__(
        self,
        runner: asyncio.Runner,
        url: str,
        *,
        api_key: str | None,
        client: type[Client],
        command: str,
    ) -> None:
        self.url = url
        self._runner = runner
        self._command = command
        self._http = runner.run(_session())
        self._api_key = api_key
        self._logins = LoginFile(Path(typer.get_app_dir("twinport")) / "logins.json")
        login = None if api_key else self._logins.load(url)
        self.client = client(
            self._http, url, api_key=api_key, login=login, on_login=lambda new: self._logins.save(url, new)
        )
        self._known = bool(api_key or login)

    def close(self) -> None:
        self._runner.run(self._http.close())

    def log_in(self) -> None:
        """Ask for a name and a password, and keep the tokens. Ends the program where nobody can be asked."""
        if not sys.stdin.isatty():
            terminal.fail(
                f"Not logged in. Run `twinport {self._command}` in a terminal once, or give a key: "
                "TWINPORT_API_KEY or --api-key."
            )
        terminal.err.print(f"Log in at {self.url} (an account is made with: {terminal.launcher()} user create)")
        username = typer.prompt("name", err=True)
        password = typer.prompt("password", hide_input=True, err=True)
        self._runner.run(self.client.log_in(username, password))
        self._known = True

    def call(self, make: Callable[[], Any]) -> Any:
        """Run a call, logging in first if need be, and once more when the login has run out."""
        if not self._known:
            self.log_in()
        try:
            return self._runner.run(make())
        except CallFailed as failure:
            if failure.status != 401 or self._api_key:
                raise
        self._logins.forget(self.url)
        self.log_in()
        return self._runner.run(make())


def this_machine() -> str:
    """Return where the `serve` of this data folder listens, or would with the settings of this machine."""
    from cli.plan import main_address
    from cli.settings import read_settings

    return main_address(read_settings())


async def _session() -> Any:
    return create_http_session(connect_timeout_s=5)
