"""Downloads one file so that nothing half or wrong is ever used: resumable, checked while it streams, then renamed.

While it runs there are `NAME.part` and `NAME.part.json` (where it came from). A second start goes on if the server
still has the same file (its ETag), and begins anew if not or if it ignores ranges. The SHA-256 that the source
announced, the length and GGUF's first four bytes are checked before the rename.
"""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import aiohttp

from main_api.models.fetch import fetched
from main_api.models.part_file import Origin, finish, locked, read_origin, write_origin
from main_api.models.source import ChecksumMismatch, RemoteFile
from shared.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    StorageFull,
    Unavailable,
    UpstreamFailed,
)

MAGIC = b"GGUF"
_BLOCK = 1024 * 1024
_SPARE_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 5
_SHA256 = re.compile(r'"?([0-9a-f]{64})"?')


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a download is, in bytes; `total` is None where nobody knows."""

    name: str
    done: int
    total: int | None


OnProgress = Callable[[Progress], None]


class WrongSize(UpstreamFailed):
    """The server has, or sends, another number of bytes than was announced; what arrived has been thrown away."""

    code = "wrong_size"
    retryable = False


async def download(
    session: aiohttp.ClientSession,
    file: RemoteFile,
    target: Path,
    *,
    on_progress: OnProgress | None = None,
    pause_s: float = 0.5,
) -> None:
    """Download `file` to `target`. A broken connection is taken up again, a few times in vain at most.

    `pause_s` is the first pause before that; it doubles. Cancelling keeps the part. Raises `ChecksumMismatch`,
    `WrongSize`, `StorageFull`, `Conflict` when another download of the same file runs, `InvalidRequest` when it is no
    GGUF file, and what the connection raises.
    """
    part = target.with_name(target.name + ".part")
    with locked(part) as handle:
        transfer = _Transfer(session, file, part, handle)
        transfer.pause_s = pause_s
        transfer.on_progress = on_progress or transfer.on_progress
        await transfer.run()
        await asyncio.to_thread(finish, handle, part, target)


class _Transfer:
    """One run of a download on an open, locked part file."""

    def __init__(self, session: aiohttp.ClientSession, file: RemoteFile, part: Path, handle: FileIO) -> None:
        self._session = session
        self._file = file
        self._part = part
        self._handle = handle
        self.on_progress: OnProgress = lambda _: None
        self.pause_s = 0.5
        self._origin = read_origin(part, file.url, file.sha256)
        self._digest = hashlib.sha256()
        self._done = 0

    async def run(self) -> None:
        self._done = await asyncio.to_thread(self._take_up)
        stuck = 0
        while True:
            before = self._done
            try:
                await self._receive()
                break
            except (UpstreamFailed, DeadlineExceeded, Unavailable) as error:
                stuck = 0 if self._done > before else stuck + 1
                if stuck >= _ATTEMPTS or self._done == 0 or not error.retryable:
                    raise
                await asyncio.sleep(self.pause_s * 2**stuck)
        await asyncio.to_thread(self._verify)

    def _take_up(self) -> int:
        """Hash what an earlier run left; without an ETag nothing proves that it is of the same file."""
        self._handle.seek(0, os.SEEK_END)
        if self._handle.tell() and self._origin.etag is None:
            self._restart()
        self._handle.seek(0)
        while block := self._handle.read(_BLOCK):
            self._digest.update(block)
        return self._handle.tell()

    async def _receive(self) -> None:
        if self._origin.total is not None and self._done == self._origin.total:
            return
        headers = {"accept-encoding": "identity"}
        if self._done:
            headers |= {"range": f"bytes={self._done}-", "if-range": self._origin.etag or ""}
        async with fetched(self._session, self._file.url, headers) as (response, hops):
            if response.status == 416:
                await asyncio.to_thread(self._restart)
                raise UpstreamFailed("The server has less of this file than we do; it begins anew.")
            _raise_for(response.status)
            if response.status == 200 and self._done:
                await asyncio.to_thread(self._restart)  # it ignored the range, or has another file by now
            self._learn(response, hops)
            self._need_space()
            await self._write_all(response)
        if self._origin.total is not None and self._done < self._origin.total:
            raise UpstreamFailed("The server ended before the file was complete; pull again, it goes on there.")

    def _learn(self, response: aiohttp.ClientResponse, hops: dict[str, str]) -> None:
        """Note what the answer says of the whole file and hold it against what was announced."""
        total = _total(response)
        if response.status == 206 and _first_byte(response) != self._done:
            raise UpstreamFailed("The server sent another piece of the file than the one asked for.")
        expected = self._file.size
        if None not in (expected, total) and expected != total:
            self._restart()
            raise WrongSize(f"The server has {total} bytes where {expected} were announced.")
        linked = _SHA256.fullmatch(hops.get("x-linked-etag", ""))
        if self._file.sha256 and linked and linked[1] != self._file.sha256:
            self._restart()
            raise ChecksumMismatch(f"{self._file.name} has the SHA-256 {linked[1]} there, not the one expected.")
        self._origin = Origin(
            url=self._file.url,
            etag=_strong(response.headers.get("etag")),
            sha256=self._file.sha256 or (linked[1] if linked else None),
            total=total if total is not None else expected,
        )
        write_origin(self._part, self._origin)

    def _need_space(self) -> None:
        missing = (self._origin.total or 0) - self._done
        free = shutil.disk_usage(self._part.parent).free - _SPARE_BYTES
        if missing > free:
            raise StorageFull(f"{missing:,} more bytes are needed and {max(free, 0):,} are free; make room first.")

    async def _write_all(self, response: aiohttp.ClientResponse) -> None:
        pending = bytearray()
        try:
            async for piece in response.content.iter_any():
                pending += piece
                if self._done == 0 and len(pending) >= len(MAGIC) and not pending.startswith(MAGIC):
                    raise InvalidRequest("What this address serves is not a GGUF file.")
                if len(pending) >= _BLOCK:
                    await self._write(pending)
                    pending = bytearray()
            if self._done + len(pending) < len(MAGIC):
                raise InvalidRequest("What this address serves is not a GGUF file.")
        finally:
            if pending.startswith(MAGIC) or self._done:
                await asyncio.shield(self._write(pending))  # what has arrived is kept, cancelled or not

    async def _write(self, data: bytearray) -> None:
        total = self._origin.total
        if total is not None and self._done + len(data) > total:
            self._restart()
            raise WrongSize(f"The server sends more than the {total} bytes that it announced.")
        await asyncio.to_thread(self._append, data)
        self._done += len(data)
        self.on_progress(Progress(self._file.name, self._done, total))

    def _append(self, data: bytearray) -> None:
        self._handle.seek(self._done)
        self._handle.write(data)
        self._handle.flush()
        self._digest.update(data)

    def _verify(self) -> None:
        found = self._digest.hexdigest()
        if self._origin.sha256 in (None, found):
            return
        self._restart()
        raise ChecksumMismatch(
            f"{self._file.name} arrived with the SHA-256 {found}, not {self._origin.sha256}; it was thrown away."
        )

    def _restart(self) -> None:
        self._handle.truncate(0)
        self._digest = hashlib.sha256()
        self._done = 0


def _raise_for(status: int) -> None:
    if status in {200, 206}:
        return
    if status == 404:
        raise NotFound("There is no file at this address.")
    if status in {401, 403}:
        raise PermissionDenied("The server wants a login for this file; download it in a browser.")
    raise UpstreamFailed(f"The server answered with status {status}; try again later.")


def _total(response: aiohttp.ClientResponse) -> int | None:
    if response.status == 206:
        whole = response.headers.get("content-range", "").rpartition("/")[2]
        return int(whole) if whole.isdigit() else None
    return response.content_length


def _first_byte(response: aiohttp.ClientResponse) -> int:
    found = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(found[1]) if found else -1


def _strong(etag: str | None) -> str | None:
    """Return an ETag that `If-Range` takes; weak ones do not promise the same bytes (RFC 9110 §13.1.5)."""
    return etag if etag and not etag.startswith("W/") else None
