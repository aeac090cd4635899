"""The lines of a PDF's pages, where they stand and how large they are printed. Read by pdfium, a compiled library."""

from __future__ import annotations

from dataclasses import dataclass

from blocks import Bounds, Refused, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_PASSWORD = 4
_MOST_BOOKMARKS = 5000
_DEEPEST_BOOKMARK = 6
_MOST_LINES = 3000
"""Of one page; a page of characters that all stand on lines of their own is a drawing."""
_HYPHENS = "\x02\ufffe\xad"
OCR_SCALE = 200 / 72
_LONGEST_SIDE = 5000


@dataclass(slots=True)
class Line:
    """A printed line, and its first character: the size in points, where it stands from below and from the left."""

    text: str
    size: float
    base: float
    left: float
    page: int


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of a document's outline."""

    title: str
    level: int
    page: int


class Pdf:
    """An open document. Raises `Refused` for one that can't be read."""

    def __init__(self, data: bytes, bounds: Bounds) -> None:
        try:
            import ctypes

            import pypdfium2
            from pypdfium2 import raw
        except ImportError:
            raise Refused(
                "unsupported", "PDFs can't be read on this server: its sandbox runs no compiled code."
            ) from None
        self._raw: Any = raw
        self._double = ctypes.c_double
        try:
            self._document: Any = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise _refusal(error) from None
        self.pages = len(self._document)
        bounds.check_pages(self.pages)

    def metadata(self) -> dict[str, str]:
        """Return what the document says of itself."""
        return {key: clean(str(value)) for key, value in self._document.get_metadata_dict(skip_empty=True).items()}

    def bookmarks(self) -> Iterator[Bookmark]:
        """Yield the outline, as much of it as anyone reads."""
        for number, entry in enumerate(self._document.get_toc(max_depth=_DEEPEST_BOOKMARK)):
            if number >= _MOST_BOOKMARKS:
                return
            target = entry.get_dest()
            index = target.get_index() if target else None
            if index is not None and index >= 0:
                yield Bookmark(clean(entry.get_title()).strip(), min(entry.level + 1, 6), index + 1)

    def lines(self, page: int) -> list[Line]:
        """Return the lines of a page, in the order in which they were written."""
        handle: Any = self._document[page - 1]
        text_page: Any = handle.get_textpage()
        try:
            return list(self._lines(text_page, page))
        finally:
            text_page.close()
            handle.close()

    def picture(self, page: int) -> Any:
        """Return a page as a picture, as large as tesseract likes it."""
        handle: Any = self._document[page - 1]
        try:
            longest = max(handle.get_size()) or 1.0
            return handle.render(scale=min(OCR_SCALE, _LONGEST_SIDE / longest), grayscale=True).to_pil()
        finally:
            handle.close()

    def _lines(self, text_page: Any, page: int) -> Iterator[Line]:
        text: str = text_page.get_text_range()
        position = 0
        for number, line in enumerate(text.split("\r\n")):
            if number > _MOST_LINES:
                return
            shown = line.rstrip()
            if shown.strip():
                index = position + len(line) - len(line.lstrip())
                yield self._placed(text_page, index, shown.strip(), page)
            position += len(line) + 2

    def _placed(self, text_page: Any, index: int, text: str, page: int) -> Line:
        character = max(0, self._raw.FPDFText_GetCharIndexFromTextIndex(text_page, index))
        left, base = self._double(), self._double()
        self._raw.FPDFText_GetCharOrigin(text_page, character, left, base)
        size = float(self._raw.FPDFText_GetFontSize(text_page, character))
        joined = text[:-1] + "-" if text[-1] in _HYPHENS else text
        plain = clean("".join("" if letter in _HYPHENS else letter for letter in joined))
        return Line(plain, round(size, 1), base.value, left.value, page)


def _refusal(error: Any) -> Refused:
    if error.err_code == _PASSWORD:
        return Refused("encrypted", "The PDF is protected with a password. Save it without one.")
    return Refused("broken", "The PDF is damaged: it can't be opened.")
