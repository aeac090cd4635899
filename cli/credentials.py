"""Who the command line is to a server: an API key, or the tokens of a login, kept per server in a 0600 file."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The tokens of a person's login on one server."""

    username: str
    access_token: str
    refresh_token: str


class LoginFile:
    """The logins of this machine's user, by the URL of the server."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, url: str) -> Login | None:
        known = self._read().get(url)
        try:
            return Login(**known) if known else None
        except TypeError:  # written by another version
            return None

    def save(self, url: str, login: Login) -> None:
        self._write({**self._read(), url: asdict(login)})

    def forget(self, url: str) -> None:
        known = self._read()
        if known.pop(url, None):
            self._write(known)

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _write(self, logins: dict[str, Any]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(logins, file)
        draft.replace(self._path)
