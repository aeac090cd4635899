"""Takes what SQLite leaves behind of deleted rows out of a database's pages.

`PRAGMA secure_delete` overwrites the cells that are deleted and the pages that are freed. It does not know of older
copies: when SQLite moves cells between neighbouring pages of a B-tree, their bytes stay in the unused middle of the
page where they were, and are still there when the row is deleted elsewhere (one to four of six hundred
deleted documents could still be read in the file). So whenever the write-ahead log goes into the database, the pages
that it holds are looked through, and their unused parts are overwritten. No byte that SQLite reads is changed, so a
crash in the middle does no harm; the list of pages is on the disk before, and an interrupted round is done again.

The format of pages and of the log is that of https://www.sqlite.org/fileformat2.html, sections 1.6, 1.8 and 4.
"""

import os
import struct
from collections.abc import Iterable
from pathlib import Path

from shared.durable import sync_folder

_WAL_HEADER = 32
_FRAME_HEADER = 24
_CELLS_OF = {2: 12, 5: 12, 10: 8, 13: 8}
"""Where the list of cells begins in the four kinds of B-tree pages."""
_PENDING_BYTE = 0x40000000
_NOTHING = bytes(65536)


class Scrubber:
    """Overwrites the unused parts of a database's pages. One thread at a time; nothing writes to the file meanwhile.

    The file stays open until `close`, which must come after SQLite has closed it: closing any descriptor of a file
    drops the locks of the whole process on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """

    def __init__(self, database: Path, page_bytes: int) -> None:
        self._database = database
        self._log = database.with_name(f"{database.name}-wal")
        self._pending = database.with_name(f"{database.name}-scrub")
        self._page_bytes = page_bytes
        self._descriptor = os.open(database, os.O_RDWR | os.O_CLOEXEC)

    def remember(self) -> None:
        """Write down which pages the log holds; call it before the log goes into the database."""
        pages = sorted(set(_pages_in(self._log, self._page_bytes)) | set(self._remembered()))
        draft = self._pending.with_name(f"{self._pending.name}.tmp")
        with draft.open("wb") as file:
            file.write(struct.pack(f">{len(pages)}I", *pages))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._pending)
        sync_folder(self._pending.parent)

    def scrub(self) -> int:
        """Overwrite what is unused in the pages that were written down; return in how many there was something."""
        changed = sum(self._scrub_page(page) for page in self._remembered())
        if changed:
            os.fsync(self._descriptor)
        self._pending.unlink(missing_ok=True)
        return changed

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _remembered(self) -> tuple[int, ...]:
        try:
            content = self._pending.read_bytes()
        except FileNotFoundError:
            return ()
        return struct.unpack(f">{len(content) // 4}I", content)

    def _scrub_page(self, number: int) -> bool:
        if _maps_pages(number, self._page_bytes):
            return False
        offset = (number - 1) * self._page_bytes
        page = os.pread(self._descriptor, self._page_bytes, offset)
        changed = False
        for start, end in unused_parts(page, 100 if number == 1 else 0):
            if page[start:end] != _NOTHING[: end - start]:
                os.pwrite(self._descriptor, _NOTHING[: end - start], offset + start)
                changed = True
        return changed


def unused_parts(page: bytes, header: int = 0) -> list[tuple[int, int]]:
    """Return the parts of a B-tree page that hold nothing; none for another page. `header` is where its own begins."""
    if len(page) < header + 12 or page[header] not in _CELLS_OF:
        return []
    free, count, content = struct.unpack_from(">HHH", page, header + 1)
    content = content or 65536
    end_of_cells = header + _CELLS_OF[page[header]] + 2 * count
    if not end_of_cells <= content <= len(page):
        return []
    cells = struct.unpack_from(f">{count}H", page, end_of_cells - 2 * count)
    if any(not content <= cell < len(page) for cell in cells):
        return []
    return [(end_of_cells, content), *_free_blocks(page, free, content)]


def _free_blocks(page: bytes, block: int, content: int) -> Iterable[tuple[int, int]]:
    while content <= block <= len(page) - 4:
        following, size = struct.unpack_from(">HH", page, block)
        if size < 4 or block + size > len(page):
            return
        yield block + 4, block + size
        if following <= block:
            return
        block = following


def _pages_in(log: Path, page_bytes: int) -> Iterable[int]:
    """Read the page numbers of all frames, also of earlier rounds of the log: a page too many does no harm."""
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(_WAL_HEADER)
        while len(header := file.read(_FRAME_HEADER)) == _FRAME_HEADER:
            number: int = struct.unpack_from(">I", header)[0]
            if number:
                yield number
            file.seek(page_bytes, os.SEEK_CUR)


def _maps_pages(number: int, page_bytes: int) -> bool:
    """Say whether a page is one of the maps that `auto_vacuum` keeps (section 1.8)."""
    if number < 2:
        return False
    every = page_bytes // 5 + 1
    page = (number - 2) // every * every + 2
    return number == (page + 1 if page == _PENDING_BYTE // page_bytes + 1 else page)
