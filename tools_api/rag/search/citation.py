"""How a passage is named to a reader."""

from tools_api.rag.values import DocumentRecord

_SLIDES = {"application/vnd.openxmlformats-officedocument.presentationml.presentation"}
_SHEETS = {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


def citation(document: DocumentRecord, page: int | None, page_end: int | None) -> str:
    """Return for example `handbook.pdf, p. 12` or `talk.pptx, slides 3–4`."""
    if page is None:
        return document.name
    one, many = "p.", "pp."
    if document.media_type in _SLIDES:
        one, many = "slide", "slides"
    elif document.media_type in _SHEETS:
        one, many = "sheet", "sheets"
    if page_end is None or page_end == page:
        return f"{document.name}, {one} {page}"
    return f"{document.name}, {many} {page}–{page_end}"
