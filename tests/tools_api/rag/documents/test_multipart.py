"""Forms are read as they come, within limits, and broken ones are refused in words (E56)."""

from collections.abc import AsyncIterator

import pytest

from shared.errors import InvalidRequest
from tools_api.rag.documents.multipart import MAX_METADATA_BYTES, read_form

_TYPE = "multipart/form-data; boundary=XX"


class Collected:
    def __init__(self) -> None:
        self.files: list[tuple[str, str | None, bytes]] = []
        self.largest_piece = 0

    async def begin(self, name: str, media_type: str | None) -> None:
        self.files.append((name, media_type, b""))

    async def write(self, data: bytes) -> None:
        name, media_type, before = self.files[-1]
        self.files[-1] = (name, media_type, before + data)
        self.largest_piece = max(self.largest_piece, len(data))

    async def end(self) -> None:
        pass


def _file(name: str, content: bytes, more: str = "") -> bytes:
    head = f'--XX\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n{more}\r\n'
    return head.encode() + content + b"\r\n"


async def _pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def _read(body: bytes, *, size: int = 65_536, content_type: str = _TYPE) -> tuple[Collected, bytes | None]:
    collected = Collected()
    return collected, await read_form(_pieces(body, size), content_type, collected)


_GOOD = (
    _file("a.txt", b"one", "Content-Type: text/plain\r\n")
    + _file("b/\u00fc.bin", bytes(range(256)) * 40)
    + b'--XX\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"a": 1}\r\n'
    + _file("empty", b"")
    + b"--XX--\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000, 65_536])
async def test_files_and_metadata_come_whole_however_the_body_is_cut(size: int) -> None:
    collected, metadata = await _read(_GOOD, size=size)
    assert collected.files == [
        ("a.txt", "text/plain", b"one"),
        ("b/\u00fc.bin", None, bytes(range(256)) * 40),
        ("empty", None, b""),
    ]
    assert metadata == b'{"a": 1}'


async def test_a_file_is_handed_on_in_pieces() -> None:
    collected, _ = await _read(_file("a", b"x" * 1_000_000) + b"--XX--\r\n", size=10_000)
    assert len(collected.files[0][2]) == 1_000_000
    assert collected.largest_piece <= 10_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"\r\n" * 40_000,
        _file("a", b"one"),
        _GOOD.removesuffix(b"--XX--\r\n"),
        b'--XX\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--XX--\r\n',
        b'--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--XX--\r\n',
        b'--XX\r\nContent-Disposition: attachment; name="file"; filename="a"\r\n\r\nx\r\n--XX--\r\n',
        b"--XX\r\n\r\nx\r\n--XX--\r\n",
        b"--XX\r\n" + b"X-Much: y\r\n" * 100 + b"\r\nx\r\n--XX--\r\n",
        b"--XX\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--XX--\r\n",
        b'--XX\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
        + b"x" * (MAX_METADATA_BYTES + 1)
        + b"\r\n--XX--\r\n",
        2 * b'--XX\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{}\r\n' + b"--XX--\r\n",
    ],
)
async def test_a_form_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await _read(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 71}",
    ],
)
async def test_a_type_that_is_no_form_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="multipart/form-data"):
        await _read(_GOOD, content_type=content_type)


async def test_names_of_other_encodings_are_read_somehow() -> None:
    body = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="caf\xe9.txt"\r\n\r\nx\r\n--XX--\r\n'
    collected, _ = await _read(body)
    assert collected.files[0][0] == "caf\u00e9.txt"
