"""ZIP archives as the files in them, taken apart in the sandbox: first the list, then some megabytes at a time.

Members are handed on as they come, so that neither memory nor the sandbox ever holds all of them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from tools_api.rag.parsing.failures import failure_of
from tools_api.rag.parsing.kinds import is_archive
from tools_api.rag.parsing.parser import Parser
from tools_api.rag.parsing.runtime import ENV, SCRIPTS, UNZIP
from tools_api.rag.parsing.values import ArchiveRefused, Bounds, MemberRefused
from tools_api.rag.values import ParseFailure
from tools_api.sandbox import Job, Outcome, SandboxBusy, SandboxUnavailable, StoredFile

_AT_ONCE = 8 << 20
_LONGEST_NAME = 1200
_BROKEN = ParseFailure(code="broken", message="The archive is damaged: it can't be unpacked.")
_DAMAGED_MEMBER = ParseFailure(code="broken", message="The archive is damaged: this file can't be unpacked.")


@dataclass(frozen=True, slots=True)
class _Member:
    place: tuple[int, ...]
    name: str
    size: int
    failure: ParseFailure | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    member: _Member
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class _Read:
    part: _Part
    data: bytes
    is_damaged: bool


class ZipArchives:
    """Unpacks through the parser's sandbox."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser

    def is_archive(self, path: Path) -> bool:
        """Say whether a file is a ZIP of files, and not a document that is packed as one. Blocks."""
        return is_archive(path)

    async def members(self, path: Path, name: str) -> AsyncGenerator[tuple[str, AsyncIterator[bytes]]]:
        """Yield each file in it: its relative name, below the archive's own, and its bytes, to be read before the next.

        A ZIP in the ZIP is unpacked too, one level. Raises `ArchiveRefused`; the bytes of a file that can't be read
        raise `MemberRefused`, and the others go on.
        """
        found = await self._listed(path)
        async with aclosing(self._read(path, found)) as parts:
            for member in found:
                yield f"{_folder(name)}/{member.name}", _bytes_of(member, parts)

    async def _listed(self, path: Path) -> list[_Member]:
        outcome = await self._run(path, {"do": "list"}, self._parser.bounds)
        lines = outcome.stdout.splitlines()
        if len(lines) > self._parser.bounds.members:
            raise ArchiveRefused(_BROKEN)
        found = [_member(line, self._parser.bounds) for line in lines]
        failures = [member.failure for member in found if member.failure is not None]
        if failures and len(failures) == len(found):
            raise ArchiveRefused(failures[0])
        return found

    async def _read(self, path: Path, found: Sequence[_Member]) -> AsyncGenerator[_Read]:
        """Yield the parts of all members in order, some megabytes in each run."""
        for parts in _groups(found):
            wanted = [[part.member.place, part.offset, part.length] for part in parts]
            outcome = await self._run(path, {"do": "read", "parts": wanted}, self._parser.bounds)
            if len(outcome.stdout) != sum(part.length for part in parts):
                raise ArchiveRefused(_BROKEN)
            damaged = _damaged(outcome.report)
            position = 0
            for number, part in enumerate(parts):
                yield _Read(part, outcome.stdout[position : position + part.length], number in damaged)
                position += part.length

    async def _run(self, path: Path, what: dict[str, Any], bounds: Bounds) -> Outcome:
        sandbox = await self._parser.ready()
        size = (await asyncio.to_thread(path.stat)).st_size
        job = Job(
            script=UNZIP,
            payload=orjson.dumps({**what, "bounds": bounds.told()}),
            stored=(StoredFile("archive", path, size),),
            trees=(SCRIPTS,),
            env=ENV,
        )
        try:
            outcome = await sandbox.run(job)
        except (SandboxUnavailable, SandboxBusy) as error:
            raise ArchiveRefused(_not_now(error.message)) from None
        if outcome.report and not _damaged(outcome.report):
            raise ArchiveRefused(_failure(outcome.report))
        if outcome.exit_code != 0 or outcome.limit:
            raise ArchiveRefused(failure_of(outcome, bounds))
        return outcome


async def _bytes_of(member: _Member, parts: AsyncIterator[_Read]) -> AsyncGenerator[bytes]:
    """Yield the bytes of a member, whose parts come next. Raises `MemberRefused`."""
    left = member.size
    failure = member.failure
    while left > 0:
        read = await anext(parts)
        if read.part.member is not member:
            raise RuntimeError("the members of an archive are read in their order, each to its end")
        left -= read.part.length
        if read.is_damaged:
            failure = _DAMAGED_MEMBER
        if failure is None:
            yield read.data
    if failure is not None:
        raise MemberRefused(failure)


def _groups(found: Sequence[_Member]) -> list[list[_Part]]:
    """Cut members into parts, and put these into groups of some megabytes."""
    groups: list[list[_Part]] = []
    room = 0
    for member in found:
        offset = 0
        while offset < member.size:
            if room <= 0:
                groups.append([])
                room = _AT_ONCE
            length = min(member.size - offset, room)
            groups[-1].append(_Part(member, offset, length))
            offset += length
            room -= length
    return groups


def _member(line: bytes, bounds: Bounds) -> _Member:
    """Read a line of the list, which is not believed. Raises `ArchiveRefused`."""
    try:
        place, name, size, failed = cast("list[Any]", orjson.loads(line))
        failure = None if failed is None else _failure(orjson.dumps(failed))
        member = _Member(tuple(int(number) for number in place[:2]), str(name), 0 if failure else int(size), failure)
    except (ValueError, TypeError):
        raise ArchiveRefused(_BROKEN) from None
    if not 0 < len(member.name) <= _LONGEST_NAME or "\0" in member.name or not 0 <= member.size <= bounds.file_bytes:
        raise ArchiveRefused(_BROKEN)
    return member


def _not_now(reason: str) -> ParseFailure:
    return ParseFailure(code="unavailable", message=f"The archive could not be unpacked; send it again. {reason}")


def _failure(report: bytes) -> ParseFailure:
    try:
        code, message = cast("list[Any]", orjson.loads(report[:2000]))
        return ParseFailure(code=str(code)[:32], message=str(message)[:500])
    except (ValueError, TypeError):
        return _BROKEN


def _damaged(report: bytes) -> set[int]:
    """Return the numbers of the parts that are reported as damaged; none if something else is reported."""
    try:
        said = orjson.loads(report)
        return {int(number) for number in said["damaged"]}
    except (ValueError, TypeError, KeyError):
        return set()


def _folder(name: str) -> str:
    """Return an archive's name without its ending: the folder that its files are shown in."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.lower() == "zip" and stem else name
