"""PDF, Word, slides and sheets, each made by the library that people use: text, pages, headings, tables."""

import datetime as dt
import io
from typing import Any

import pytest
from blocks import Block, Bounds, Content, Refused
from chunker import Chunker
from formats import parse
from tokens import Counter

from tests.tools_api.rag.parsing import made


def blocks_of(content: Content) -> list[tuple[str, str, int | None]]:
    return [(block.kind, block.text, block.page) for block in content.blocks if not block.silent]


def chunks_of(content: Content, limit: int = 64) -> list[Any]:
    return list(Chunker(Counter(), limit=limit, title=content.title).chunks(content.blocks))


def test_a_pdf_has_pages_and_headings_by_the_size_of_print() -> None:
    pages = [
        [("Title", "Pump manual"), ("Heading1", "1 Oil"), ("BodyText", "Change the oil of the pump yearly. " * 6)],
        [("Heading1", "2 Water"), ("BodyText", "Water is cold."), ("Heading2", "Pipes"), ("BodyText", "Pipes leak.")],
    ]
    content = parse(made.pdf(pages, title="Pump manual"), "manual.pdf", None, Bounds())
    assert (content.media_type, content.title, content.pages) == ("application/pdf", "Pump manual", 2)
    assert content.metadata["author"] == "Ada"
    assert blocks_of(content) == [
        ("heading", "Pump manual", 1),
        ("heading", "1 Oil", 1),
        ("text", ("Change the oil of the pump yearly. " * 6).strip(), 1),
        ("heading", "2 Water", 2),
        ("text", "Water is cold.", 2),
        ("heading", "Pipes", 2),
        ("text", "Pipes leak.", 2),
    ]
    last = chunks_of(content)[-1]
    assert (last[3], last[4]) == (2, 2)
    assert last[5][0] == "2 Water"


def test_the_outline_of_a_pdf_says_the_levels() -> None:
    pages = [[("Heading1", "Same size"), ("BodyText", "One."), ("Heading2", "Below"), ("BodyText", "Two.")]]
    content = parse(made.pdf(pages, outline=True), "a.pdf", None, Bounds())
    assert [(block.text, block.level) for block in content.blocks if block.kind == "heading"] == [
        ("Same size", 1),
        ("Below", 2),
    ]


WORDS = [[f"{word} {letter}" for word in ("oil", "water", "steam", "gas")] for letter in "abcdefgh"]


def test_running_titles_and_page_numbers_are_left_out() -> None:
    pages = [
        [
            ("BodyText", "The Big Handbook"),
            *[("BodyText", f"Text of page {n}: " + word) for word in WORDS[n]],
            ("BodyText", f"Page {n}"),
        ]
        for n in range(8)
    ]
    texts = [block.text for block in parse(made.pdf(pages), "a.pdf", None, Bounds()).blocks]
    assert sum(text.count("Text of page") for text in texts) == 32
    assert not any("Big Handbook" in text or text.startswith("Page ") for text in texts)


def test_a_protected_pdf_says_so() -> None:
    with pytest.raises(Refused) as refused:
        parse(made.pdf([[("BodyText", "secret")]], password="x"), "a.pdf", None, Bounds())
    assert refused.value.code == "encrypted"


def test_a_word_document_has_its_styles_lists_and_tables() -> None:
    def build(document: Any) -> None:
        document.add_heading("Security", 1)
        document.add_paragraph("Log in with a password.")
        document.add_paragraph("one", style="List Bullet")
        document.add_paragraph("two", style="List Number")
        table = document.add_table(rows=2, cols=2)
        for cell, text in zip(
            (c for row in table.rows for c in row.cells), ("Name", "Price", "Pump", "9"), strict=True
        ):
            cell.text = text
        document.add_heading("Keys", 2)
        run = document.add_paragraph("Seen. ").add_run("Not seen.")
        run.font.hidden = True

    content = parse(made.docx(build, title="Handbook", author="Ada"), "h.docx", None, Bounds())
    assert (content.media_type, content.title, content.pages) == (made.DOCX, "Handbook", None)
    assert content.metadata["author"] == "Ada"
    assert blocks_of(content) == [
        ("heading", "Security", None),
        ("text", "Log in with a password.", None),
        ("list", "- one\n- two", None),
        ("table", "Name | Price\nPump | 9", None),
        ("heading", "Keys", None),
        ("text", "Seen.", None),
    ]
    assert [block.level for block in content.blocks if block.kind == "heading"] == [1, 2]


def test_pages_of_a_word_document_are_those_that_word_saved_and_deleted_text_is_gone() -> None:
    inside = (
        "<w:p><w:r><w:t>First page.</w:t></w:r></w:p>"
        "<w:p><w:r><w:lastRenderedPageBreak/><w:t>Second page.</w:t></w:r></w:p>"
        "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>"
    )
    content = parse(made.raw_docx(made.body(inside)), "a.docx", None, Bounds())
    assert blocks_of(content) == [("text", "First page.", 1), ("text", "Second page.", 2), ("text", "new", 2)]
    assert content.pages == 2


def test_slides_are_pages_with_titles_and_notes() -> None:
    import pptx

    slides = pptx.Presentation()
    for number in (1, 2):
        slide = slides.slides.add_slide(slides.slide_layouts[1])
        slide.shapes.title.text = f"Plan {number}"
        slide.placeholders[1].text = "build\ntest"
        slide.notes_slide.notes_text_frame.text = "say this"
    file = io.BytesIO()
    slides.save(file)
    content = parse(file.getvalue(), "plan.pptx", None, Bounds())
    assert (content.title, content.pages) == ("Plan 1", 2)
    assert blocks_of(content)[3:] == [
        ("heading", "Plan 2", 2),
        ("list", "- build\n- test", 2),
        ("text", "Notes: say this", 2),
    ]
    assert [(chunk[3], chunk[5]) for chunk in chunks_of(content)] == [(1, ("Plan 1",)), (2, ("Plan 2",))]


@pytest.mark.parametrize("kind", ["xlsx", "ods"])
def test_sheets_are_pages_of_tables(kind: str) -> None:
    data = _workbook() if kind == "xlsx" else _ods()
    content = parse(data, f"prices.{kind}", None, Bounds())
    assert content.pages == 2
    assert blocks_of(content) == [
        ("heading", "Prices", 1),
        ("table", "Name | Price | Since\nPump | 9.5 | 2024-05-01\nPipe | 12 | 2024-06-01", 1),
        ("heading", "More", 2),
        ("table", "only", 2),
    ]


def _workbook() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "Prices"
    for row in (["Name", "Price", "Since"], ["Pump", 9.5, dt.date(2024, 5, 1)], ["Pipe", 12, dt.date(2024, 6, 1)]):
        sheet.append(row)
    book.create_sheet("More").append(["only"])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


_NAMES = "urn:oasis:names:tc:opendocument:xmlns"
_ODF = f'xmlns:office="{_NAMES}:office:1.0" xmlns:table="{_NAMES}:table:1.0" xmlns:text="{_NAMES}:text:1.0"'


def _odf(kind: str, inside: str) -> str:
    return (
        f'<?xml version="1.0"?><office:document-content {_ODF}><office:body><office:{kind}>{inside}</office:{kind}>'
        "</office:body></office:document-content>"
    )


def _ods() -> bytes:
    def cell(value: str) -> str:
        said = 'office:value-type="string"'
        if value.replace(".", "").isdigit():
            said = f'office:value-type="float" office:value="{value}"'
        elif value.startswith("20"):
            said = f'office:value-type="date" office:date-value="{value}"'
        return f"<table:table-cell {said}><text:p>{value}</text:p></table:table-cell>"

    def sheet(name: str, rows: list[list[str]]) -> str:
        lines = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
        return f'<table:table table:name="{name}">{lines}</table:table>'

    prices = [["Name", "Price", "Since"], ["Pump", "9.5", "2024-05-01"], ["Pipe", "12", "2024-06-01"]]
    return made.zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="{_NAMES}:manifest:1.0"/>',
            "content.xml": _odf("spreadsheet", sheet("Prices", prices) + sheet("More", [["only"]])),
        }
    )


def test_an_opendocument_text_and_a_book() -> None:
    text = _odf(
        "text",
        '<text:h text:outline-level="2">Oil</text:h><text:p>Change<text:s/>it.</text:p>'
        "<text:list><text:list-item><text:p>one</text:p></text:list-item></text:list>",
    )
    odt = made.zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": text})
    assert blocks_of(parse(odt, "a.odt", None, Bounds())) == [
        ("heading", "Oil", None),
        ("text", "Change it.", None),
        ("list", "- one", None),
    ]
    epub = made.zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": f'<c:container xmlns:c="{_NAMES}:container"><c:rootfiles>'
            '<c:rootfile full-path="OEBPS/b.opf"/></c:rootfiles></c:container>',
            "OEBPS/b.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
            "<metadata><dc:title>Emma</dc:title><dc:creator>Jane</dc:creator></metadata><manifest>"
            '<item id="2" href="two.xhtml"/><item id="1" href="one.xhtml"/></manifest>'
            '<spine><itemref idref="1"/><itemref idref="2"/></spine></package>',
            "OEBPS/one.xhtml": "<html><body><h1>Volume I</h1><p>Handsome, clever.</p></body></html>",
            "OEBPS/two.xhtml": "<html><body><h1>Volume II</h1><p>And rich.</p></body></html>",
        }
    )
    book = parse(epub, "emma.epub", None, Bounds())
    assert (book.title, book.metadata) == ("Emma", {"author": "Jane"})
    assert [block.text for block in book.blocks] == ["Volume I", "Handsome, clever.", "Volume II", "And rich."]


def test_a_document_of_one_block_has_a_page() -> None:
    assert chunks_of(Content("text/plain", [Block("text", "word", page=7)])) == [("word", 0, 4, 7, 7, ())]
