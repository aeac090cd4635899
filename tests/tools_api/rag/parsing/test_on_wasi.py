"""Parsing at the level `wasi`: formats that the standard library reads are read, the others say why not."""

import pytest

from tests.tools_api.rag.parsing import made
from tests.tools_api.rag.parsing.conftest import BOUNDS
from tests.tools_api.sandbox.wasi.conftest import artefact, sandbox
from tools_api.rag.parsing import Chunking, ParseInput, Parser
from tools_api.rag.values import ParsedDocument, ParseFailure
from tools_api.sandbox import Sandbox

__all__ = ["artefact", "sandbox"]  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def test_what_needs_no_compiled_code_is_read(sandbox: Sandbox) -> None:
    files = {
        "a.md": b"# Oil\n\nChange it.",
        "a.html": b"<h1>Oil</h1><p>Change it.</p>",
        "a.docx": made.docx(lambda document: document.add_heading("Oil", 1)),
        "a.pdf": made.pdf([[("BodyText", "x")]]),
        "a.ods": made.zipped({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<x/>"}),
        "a.eml": b"Subject: Oil\n\nChange it.\n",
    }
    inputs = [ParseInput(id=name, name=name, content=content) for name, content in files.items()]
    results = {id_: result async for id_, result in Parser(sandbox, bounds=BOUNDS).parse(inputs, Chunking(tokens=64))}
    for name in ("a.md", "a.html", "a.docx", "a.eml"):
        assert isinstance(results[name], ParsedDocument), results[name]
    for name in ("a.pdf", "a.ods"):
        failure = results[name]
        assert isinstance(failure, ParseFailure)
        assert failure.code == "unsupported"
        assert "compiled" in failure.message
