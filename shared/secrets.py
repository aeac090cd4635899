"""Secrets that are made on the first start and kept for ever after, readable by the service's user alone."""

import os
import secrets
from pathlib import Path

from shared.durable import sync_folder


def load_or_create_secret(path: Path, *, nbytes: int = 32) -> str:
    """Return the secret stored at `path`, making it (hex, 0600, in a 0700 folder) if there is none.

    Two processes that start at once agree: the one that loses the race reads what the winner wrote.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _publish(path, secrets.token_hex(nbytes))
    return path.read_text(encoding="ascii").strip()


def _publish(path: Path, secret: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # atomic, and fails if another process was first
        except FileExistsError:
            return
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
