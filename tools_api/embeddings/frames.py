"""What the tools API and the encoder's child say to each other: length-prefixed frames of bytes, never pickles.

    frame = u32 length of what follows | u8 kind | u32 call | u32 first | body        (little-endian)

`call` numbers a caller's list of texts, `first` is the place in it where the frame's part begins. Bodies:

    HELLO     JSON: what to load
    TEXTS     u8 task | u8 flags | u32 count | u32 bytes of each text | the texts in UTF-8
    CANCEL    none: forget this call
    READY     JSON: the model that was loaded
    RERANKER  JSON: {"failed": why there is none, or null}
    FAILED    JSON: {"reason": why nothing was loaded}
    ROWS      u32 columns | u32 tokens read | u32 texts that were cut | float32 rows
    REFUSED   why these texts have no rows, in UTF-8

In a list for the task RERANK the first text of every frame is the question.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

HEAD = struct.Struct("<IBII")
MAX_BODY_BYTES = 64 * 1024 * 1024
_AFTER_LENGTH = HEAD.size - 4
_TEXTS = struct.Struct("<BBI")
_ROWS = struct.Struct("<III")


class Kind(IntEnum):
    HELLO = 1
    TEXTS = 2
    CANCEL = 3
    READY = 4
    RERANKER = 5
    FAILED = 6
    ROWS = 7
    REFUSED = 8


class Task(IntEnum):
    """What is wanted of the texts. What has the lower number goes first."""

    QUERY = 0
    RERANK = 1
    PASSAGE = 2


@dataclass(frozen=True, slots=True)
class Texts:
    """A part of a caller's list. `count_cut`: tell how many were longer than the model reads."""

    task: Task
    texts: Sequence[str]
    count_cut: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of float32, one after the other, for a part of a caller's list."""

    columns: int
    tokens: int
    cut: int
    data: bytes | memoryview


class BrokenFrame(Exception):
    """The other side sent what is no frame."""


def pack(kind: Kind, body: bytes = b"", *, call: int = 0, first: int = 0) -> bytes:
    """Return a frame."""
    return HEAD.pack(_AFTER_LENGTH + len(body), kind, call, first) + body


def unpack_head(head: bytes) -> tuple[Kind, int, int, int]:
    """Return kind, call, first and the number of bytes of the body. Raises `BrokenFrame`."""
    length, kind, call, first = HEAD.unpack(head)
    body_bytes = length - _AFTER_LENGTH
    if not 0 <= body_bytes <= MAX_BODY_BYTES:
        raise BrokenFrame(f"a frame of kind {kind} with {body_bytes} bytes")
    try:
        return Kind(kind), call, first, body_bytes
    except ValueError as error:
        raise BrokenFrame(str(error)) from error


def pack_texts(part: Texts) -> bytes:
    """Return the body of TEXTS. Lone surrogates, which UTF-8 does not have, become question marks."""
    encoded = [text.encode("utf-8", "replace") for text in part.texts]
    sizes = struct.pack(f"<{len(encoded)}I", *map(len, encoded))
    return b"".join([_TEXTS.pack(part.task, part.count_cut, len(encoded)), sizes, *encoded])


def unpack_texts(body: bytes) -> Texts:
    """Return what a body of TEXTS holds. Raises `BrokenFrame`."""
    try:
        task, flags, count = _TEXTS.unpack_from(body)
        sizes = struct.unpack_from(f"<{count}I", body, _TEXTS.size)
        at = _TEXTS.size + 4 * count
        if at + sum(sizes) != len(body):
            raise BrokenFrame("the sizes of the texts do not add up")
        texts: list[str] = []
        for size in sizes:
            texts.append(body[at : at + size].decode("utf-8"))
            at += size
        return Texts(Task(task), texts, bool(flags))
    except (struct.error, ValueError) as error:
        raise BrokenFrame(str(error)) from error


def pack_rows(rows: Rows) -> bytes:
    """Return the body of ROWS."""
    return b"".join([_ROWS.pack(rows.columns, rows.tokens, rows.cut), rows.data])


def unpack_rows(body: bytes) -> Rows:
    """Return what a body of ROWS holds, without copying the rows. Raises `BrokenFrame`."""
    try:
        columns, tokens, cut = _ROWS.unpack_from(body)
    except struct.error as error:
        raise BrokenFrame(str(error)) from error
    data = memoryview(body)[_ROWS.size :]
    if columns == 0 or len(data) % (4 * columns):
        raise BrokenFrame(f"{len(data)} bytes are no rows of {columns} columns")
    return Rows(columns, tokens, cut, data)
