"""Takes the files of one upload to the disk, within the limits, and removes them again if they are not kept."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from shared.errors import InvalidRequest, PayloadTooLarge
from tools_api.rag.documents.names import label, media_type_of, unique_label
from tools_api.rag.documents.originals import DraftWriter, Originals
from tools_api.rag.documents.values import Draft, Limits
from tools_api.rag.parsing.values import ArchiveRefused, MemberRefused
from tools_api.rag.values import Owner, ParseFailure

_MIB = 1024 * 1024


class QuotaExceeded(PayloadTooLarge):
    """The owner's share of the disk is used up."""

    code = "quota_exceeded"


class UploadSource(Protocol):
    """Where an upload's files come from: a request's body."""

    async def read_into(self, intake: "Intake") -> Mapping[str, Any] | None:
        """Hand over every file, and return the metadata that all of them get, or None. Raises `InvalidRequest`."""
        ...


class Archives(Protocol):
    """Knows ZIP files, and takes them apart where untrusted bytes may be read. Part `parsing` implements it."""

    def is_archive(self, path: Path) -> bool:
        """Say whether the file is a ZIP of files (and not a DOCX or another format that is packed as one). Blocks."""
        ...

    def members(self, path: Path, name: str) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Yield each file in it: its relative name and its bytes, which may raise `MemberRefused`. Raises
        `ArchiveRefused`."""
        ...


class InFlight:
    """Bytes that uploads are bringing now, by owner: they count before they are in the catalogue."""

    def __init__(self) -> None:
        self._bytes: dict[Owner, int] = {}

    def of(self, owner: Owner) -> int:
        return self._bytes.get(owner, 0)

    def add(self, owner: Owner, size: int) -> None:
        self._bytes[owner] = self.of(owner) + size
        if not self._bytes[owner]:
            del self._bytes[owner]


class Reservation:
    """What one request takes of its owner's share while it lasts. `used_bytes` is what they have in the catalogue."""

    def __init__(self, limits: Limits, *, owner: Owner, used_bytes: int, in_flight: InFlight) -> None:
        self._limits = limits
        self._owner = owner
        self._used_bytes = used_bytes
        self._in_flight = in_flight
        self._reserved = 0

    def take(self, size: int) -> None:
        """Count bytes that have come. Raises `QuotaExceeded`."""
        if self._used_bytes + self._in_flight.of(self._owner) + size > self._limits.owner_bytes:
            raise no_room(self._limits)
        self._in_flight.add(self._owner, size)
        self._reserved += size

    def give_back(self, size: int) -> None:
        """Count bytes no more that are not kept."""
        self._in_flight.add(self._owner, -size)
        self._reserved -= size

    def close(self) -> None:
        """Give everything back: the bytes are in the catalogue by now, or gone."""
        self.give_back(self._reserved)


class Intake:
    """The files of one upload as they come."""

    def __init__(self, originals: Originals, limits: Limits, reservation: Reservation) -> None:
        self.files: list[Draft] = []
        self._originals = originals
        self._limits = limits
        self._reservation = reservation
        self._writer: DraftWriter | None = None
        self._paths: list[Path] = []
        self._names: set[str] = set()

    async def begin(self, name: str, media_type: str | None) -> None:
        """Begin a file. Raises `PayloadTooLarge` for one file too many."""
        if len(self.files) >= self._limits.files:
            raise PayloadTooLarge(f"One upload takes at most {self._limits.files} files (RAG_UPLOAD_MAX_FILES).")
        kept = unique_label(label(name), self._names)
        self._names.add(kept)
        self._writer = self._originals.draft(kept, media_type_of(kept, media_type))
        self._paths.append(self._writer.path)

    async def write(self, data: bytes) -> None:
        """Take bytes of the file that was begun; one with too many comes to a failure, and the others go on.

        Raises `PayloadTooLarge`, `QuotaExceeded`, `StorageFull`.
        """
        if self._writer is None:
            raise InvalidRequest("The form has data outside of its files.")
        if self._writer.is_refused or self._writer.size + len(data) > self._limits.file_bytes:
            await self._refuse(self._writer, data)
            return
        self._reservation.take(len(data))
        await self._writer.write(data)

    async def _refuse(self, writer: DraftWriter, data: bytes) -> None:
        await self._fail(writer, _too_large(self._limits))
        if writer.size + len(data) > self._limits.owner_bytes:  # it may have no end
            raise PayloadTooLarge(_too_large(self._limits).message)
        await writer.write(data)

    async def _fail(self, writer: DraftWriter, failure: ParseFailure) -> None:
        """Keep nothing of the file that was begun but why."""
        if not writer.is_refused:
            self._reservation.give_back(writer.size)
            await writer.refuse(failure)

    def check(self) -> None:
        """Raise `InvalidRequest` if no file came, and `PayloadTooLarge` if none was kept."""
        if not self.files:
            raise InvalidRequest("There is no file in the request.", param="file")
        if not any(file.kept for file in self.files):
            raise PayloadTooLarge(_too_large(self._limits).message)

    async def end(self) -> None:
        """End the file that was begun."""
        if self._writer is not None:
            self.files.append(await self._writer.finish())
            self._writer = None

    async def unpack(self, archives: Archives) -> None:
        """Put the files of every ZIP in its place; one that can't be taken apart stays, with the reason. Raises as
        `write` does."""
        came, self.files = self.files, []
        for file in came:
            before = len(self.files)
            try:
                unpacked = await self._is_archive(archives, file) and await self._unpack(archives, file)
            except ArchiveRefused as refused:
                await self._drop(before)
                self.files.append(replace(file, failure=refused.failure))
            else:
                if not unpacked:
                    self.files.append(file)

    async def _is_archive(self, archives: Archives, file: Draft) -> bool:
        return file.kept and await asyncio.to_thread(archives.is_archive, file.path)

    async def _unpack(self, archives: Archives, file: Draft) -> bool:
        async for name, content in archives.members(file.path, file.name):
            await self.begin(name, None)
            try:
                async for data in content:
                    await self.write(data)
            except MemberRefused as refused:
                if self._writer is not None:
                    await self._fail(self._writer, refused.failure)
            await self.end()
        self._reservation.give_back(file.size)
        return True

    async def _drop(self, first: int) -> None:
        """Forget the files from number `first` on, and the one that was begun."""
        dropped, self.files = self.files[first:], self.files[:first]
        begun = 0 if self._writer is None or self._writer.is_refused else self._writer.size
        self._reservation.give_back(sum(file.size for file in dropped) + begun)
        self._names -= {file.name for file in dropped}
        self._writer = None
        await self._originals.discard([file.path for file in dropped])

    async def aclose(self) -> None:
        """Give back what was reserved, and remove what was not kept."""
        self._reservation.close()
        await self._originals.discard(self._paths)


@asynccontextmanager
async def receiving(intake: Intake) -> AsyncGenerator[Intake]:
    """Close an intake whatever happens."""
    try:
        yield intake
    finally:
        await intake.aclose()


def _too_large(limits: Limits) -> ParseFailure:
    return ParseFailure(
        code="too_large", message=f"A file has at most {limits.file_bytes // _MIB} MiB (RAG_MAX_FILE_MB)."
    )


def no_room(limits: Limits) -> QuotaExceeded:
    """Say that an owner's documents take too much room."""
    return QuotaExceeded(
        f"The owner's documents may take {limits.owner_bytes // _MIB} MiB (RAG_OWNER_MAX_MB) in at most "
        f"{limits.owner_files} files (RAG_OWNER_MAX_FILES), and this is more; remove some first."
    )
