"""The files that tools made, kept for a while under random ids, each for the service that called.

Layout: `<root>/<id>.bin` and `<root>/<id>.json`, the latter written last and atomically: an artifact is there when its
description is. Names of files are data in the description, never parts of a path.
"""

import asyncio
import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import NotFound, StorageFull
from shared.tools_contract import Artifact
from tools_api.artifacts.names import safe_media_type, safe_name
from tools_api.invoke.tool import OutputFile

_ID = re.compile(r"art_[0-9a-f]{32}")
_CHUNK = 256 * 1024


class StoredArtifact(BaseModel):
    """What is known of an artifact."""

    model_config = ConfigDict(frozen=True)

    artifact: Artifact
    owner: str
    created_at: float


class ArtifactStore:
    """At most `quota_bytes` in all; each artifact goes `ttl_s` seconds after it was made. `open` before use."""

    def __init__(self, root: Path, *, quota_bytes: int, ttl_s: float) -> None:
        self._root = root
        self._quota_bytes = quota_bytes
        self._ttl_s = ttl_s
        self._used_bytes = 0

    async def open(self) -> None:
        """Make the folder, clear what a crash left half written, and count what is there."""
        await asyncio.to_thread(self._root.mkdir, mode=0o700, parents=True, exist_ok=True)
        self._used_bytes = await asyncio.to_thread(_tidy, self._root)

    async def save(self, caller: str, file: OutputFile) -> Artifact:
        """Keep a file for `caller` and return its description. Raises `StorageFull` before or while it writes."""
        size = len(file.content)
        if self._used_bytes + size > self._quota_bytes:
            raise StorageFull("The store for files that tools made is full; old files are removed with time.")
        self._used_bytes += size  # reserved before the first await: parallel calls cannot overshoot together
        artifact = Artifact(
            id=f"art_{secrets.token_hex(16)}",
            name=safe_name(file.name),
            media_type=safe_media_type(file.media_type),
            size=size,
        )
        stored = StoredArtifact(artifact=artifact, owner=caller, created_at=time.time())
        try:
            await asyncio.to_thread(_write, self._root, stored, file.content)
        except OSError as error:
            self._used_bytes -= size
            raise StorageFull("The disk of the tools API is full or not writable.") from error
        return artifact

    async def find(self, caller: str, artifact_id: str) -> Artifact:
        """Return an artifact's description. Raises `NotFound` also for another service's artifact."""
        stored = await asyncio.to_thread(_read, self._root, artifact_id) if _ID.fullmatch(artifact_id) else None
        if stored is None or stored.owner != caller or self._expired(stored):
            raise NotFound("There is no such artifact; it may have expired.", param="id")
        return stored.artifact

    async def chunks(self, artifact: Artifact) -> AsyncIterator[bytes]:
        """Read an artifact that `find` returned, piece by piece. Raises `NotFound` if it went meanwhile."""
        try:
            file = await asyncio.to_thread((self._root / f"{artifact.id}.bin").open, "rb")
        except FileNotFoundError:
            raise NotFound("There is no such artifact; it may have expired.", param="id") from None
        with file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk

    async def sweep(self) -> int:
        """Remove what expired; return how many."""
        expired = [stored for stored in await asyncio.to_thread(_read_all, self._root) if self._expired(stored)]
        for stored in expired:
            await asyncio.to_thread(_remove, self._root, stored.artifact.id)
            self._used_bytes -= stored.artifact.size
        return len(expired)

    def _expired(self, stored: StoredArtifact) -> bool:
        return stored.created_at + self._ttl_s < time.time()


def _write(root: Path, stored: StoredArtifact, content: bytes) -> None:
    identity = stored.artifact.id
    try:
        _publish(root / f"{identity}.bin", content)
        _publish(root / f"{identity}.json", stored.model_dump_json().encode())
    except OSError:
        _remove(root, identity)
        raise


def _publish(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(root: Path, artifact_id: str) -> StoredArtifact | None:
    try:
        return StoredArtifact.model_validate_json((root / f"{artifact_id}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _read_all(root: Path) -> list[StoredArtifact]:
    return [stored for path in root.glob("art_*.json") if (stored := _read(root, path.stem)) is not None]


def _remove(root: Path, artifact_id: str) -> None:
    for suffix in ("json", "bin"):  # the description first: without it there is no artifact
        with suppress(FileNotFoundError):
            (root / f"{artifact_id}.{suffix}").unlink()


def _tidy(root: Path) -> int:
    for draft in root.glob(".*.tmp"):
        draft.unlink(missing_ok=True)
    known = {stored.artifact.id: stored.artifact.size for stored in _read_all(root)}
    for path in root.glob("art_*"):
        if path.stem not in known:
            path.unlink(missing_ok=True)
    return sum(known.values())
