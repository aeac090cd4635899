"""A batch in which every tenth file is broken in another way: each of these says why, and all others are found."""

import io
import zipfile
from pathlib import Path

import pytest

from tests.tools_api.rag.faults.server import ToolsServer, small_files, word, words_in

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


def _zip(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


_DOCX = {
    "[Content_Types].xml": b"<Types/>",
    "word/document.xml": b"<w:document>",
}
_BROKEN = {
    "empty.txt": b"",
    "spaces.md": b" \n\t\n ",
    "program.txt": b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20,
    "half.pdf": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog",
    "picture.pdf": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    "words.docx": b"these are no words of Word",
    "bomb.docx": _zip({**_DOCX, "word/document.xml": b"<w:document>" + b"\0" * 60_000_000}),
    "unclosed.docx": _zip(_DOCX),
    "sheet.xlsx": _zip({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook><sheets>"}),
    "half.zip": _zip({"a.txt": b"one" * 100})[:60],
}


async def test_one_in_ten_is_broken_and_nine_are_found(tmp_path: Path) -> None:
    good = small_files(9 * len(_BROKEN))
    names = list(good)
    files: dict[str, bytes | str] = {}
    for number, (name, content) in enumerate(_BROKEN.items()):
        files |= {one: good[one] for one in names[9 * number : 9 * number + 9]}
        files[name] = content
    async with ToolsServer(tmp_path) as server:
        await server.collection()
        status, upload = await server.upload(files)
        assert status == 202, upload
        job = await server.finished(upload["job"])
        documents = {one["name"]: one for one in await server.documents()}
        found = words_in(await server.passages())
    failed = {name: one["error"]["code"] for name, one in documents.items() if one["state"] == "failed"}
    assert set(failed) == set(_BROKEN)
    assert all(documents[name]["error"]["message"] for name in failed)
    assert len(set(failed.values())) >= 4, failed
    assert (job["state"], job["documents"]["indexed"], job["documents"]["failed"]) == (
        "finished",
        len(good),
        len(_BROKEN),
    )
    assert found == [word(index) for index in range(len(good))]
