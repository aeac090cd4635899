"""Parsing in the real sandbox: results stream out, and a file that kills its run takes no other with it."""

import io
from pathlib import Path
from typing import Any

import pytest

from tests.tools_api.rag.parsing import made
from tools_api.rag.parsing import Chunking, ParseInput, Parser, ParsingOptions, open_parser
from tools_api.rag.parsing.values import Result
from tools_api.rag.values import ParsedDocument, ParseFailure
from tools_api.sandbox import SandboxOptions

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def parsed(parser: Parser, *files: ParseInput, tokenizer: Path | None = None) -> dict[str, Result]:
    chunking = Chunking(tokens=128, tokenizer=tokenizer)
    return {id_: result async for id_, result in parser.parse(files, chunking)}


def file(name: str, content: bytes) -> ParseInput:
    return ParseInput(id=name, name=name, content=content)


@pytest.mark.sandbox
async def test_each_file_comes_to_its_own_result(parser: Parser, tmp_path: Path, tokenizer: Path) -> None:
    on_disk = tmp_path / "original"
    on_disk.write_bytes(b"# Security\n\nLog in with a password.")
    results = await parsed(
        parser,
        ParseInput(id="1", name="docs/security.md", content=on_disk),
        file("empty.txt", b" \n\0"),
        file("notes", "Grüße aus Köln".encode("cp1252")),
        ParseInput(id="gone", name="gone.md", content=tmp_path / "gone"),
        tokenizer=tokenizer,
    )
    security = results["1"]
    assert isinstance(security, ParsedDocument)
    assert (security.title, security.media_type) == ("Security", "text/markdown")
    assert [(chunk.text, chunk.headings) for chunk in security.chunks] == [
        ("Security\n\nLog in with a password.", ("Security",))
    ]
    notes = results["notes"]
    assert isinstance(notes, ParsedDocument)
    assert notes.chunks[0].text == "Grüße aus Köln"
    failures = {name: result.code for name, result in results.items() if isinstance(result, ParseFailure)}
    assert failures == {"empty.txt": "empty", "gone": "missing"}


@pytest.mark.sandbox
async def test_every_format_is_read_inside(parser: Parser) -> None:
    def build(document: Any) -> None:
        document.add_heading("Oil", 1)
        document.add_paragraph("Change it.")

    files = {
        "a.pdf": made.pdf([[("Heading1", "Oil"), ("BodyText", "Change it every year.")]]),
        "a.docx": made.docx(build),
        "a.html": b"<h1>Oil</h1><p>Change it.</p>",
        "a.md": b"# Oil\n\nChange it.",
        "a.csv": b"name;price\npump;9\n",
        "a.json": b'{"oil": ["change"]}',
        "a.py": b"def oil():\n    change()\n",
        "a.eml": b"From: a@b.example\nSubject: Oil\n\nChange it.\n",
        "a.rtf": b"{\\rtf1 Oil\\par Change it.}",
        "a.xlsx": workbook(),
        "a.txt": "Öl wechseln, überall: größer, schöner, öfter.".encode("cp1252"),
    }
    results = await parsed(parser, *(file(name, content) for name, content in files.items()))
    for name, result in results.items():
        assert isinstance(result, ParsedDocument), (name, result)
    headings = {
        name: result.chunks[0].headings for name, result in results.items() if isinstance(result, ParsedDocument)
    }
    assert {name for name, path in headings.items() if path == ("Oil",)} == {
        "a.pdf",
        "a.docx",
        "a.html",
        "a.md",
        "a.eml",
    }


@pytest.mark.sandbox
async def test_pictures_of_text_are_read_where_there_is_a_tesseract(parser: Parser) -> None:
    picture = made.picture_of("Change the oil")
    results = await parsed(parser, file("a.png", picture), file("scan.pdf", made.scanned_pdf(picture)))
    for result in results.values():
        if Path("/usr/bin/tesseract").exists():
            assert isinstance(result, ParsedDocument), result
            assert "oil" in result.chunks[0].text.lower()
        else:
            assert isinstance(result, ParseFailure)
            assert result.code == "needs_ocr"
            assert "tesseract-ocr" in result.message


def workbook() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["name", "price"])
    sheet.append(["pump", 9])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


async def test_without_a_sandbox_files_wait() -> None:
    async with open_parser(ParsingOptions(sandbox=SandboxOptions(levels=()))) as parser:
        result = (await parsed(parser, file("a.md", b"text")))["a.md"]
        assert isinstance(result, ParseFailure)
        assert (result.code, result.retryable) == ("unavailable", True)
        assert "SANDBOX_LEVELS" in result.message
