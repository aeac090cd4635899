"""Parsing in the real sandbox: results stream out, and a file that kills its run takes no other with it."""

from pathlib import Path

import pytest

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


async def test_without_a_sandbox_files_wait() -> None:
    async with open_parser(ParsingOptions(sandbox=SandboxOptions(levels=()))) as parser:
        result = (await parsed(parser, file("a.md", b"text")))["a.md"]
        assert isinstance(result, ParseFailure)
        assert (result.code, result.retryable) == ("unavailable", True)
        assert "SANDBOX_LEVELS" in result.message
