"""The passages of a collection in a file, or on stdout for another program."""

import os
import sys
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

from cli.rag_client import RagClient
from cli.signed_in import SignedIn


def export_collection(server: SignedIn[RagClient], collection: str, output: Path | None) -> None:
    """Write the passages. A file appears under its name when it is whole, and not at all otherwise."""
    if output is None:
        _write_to_program(server, collection)
        return
    draft = output.with_name(f"{output.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            _write(server, collection, file)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


def _write_to_program(server: SignedIn[RagClient], collection: str) -> None:
    """Write to stdout; a program that reads no further (`head`) ends it in silence, as it does with others."""
    try:
        _write(server, collection, sys.stdout.buffer)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the end of the program would fail, too
        raise SystemExit(141) from None


def _write(server: SignedIn[RagClient], collection: str, file: BinaryIO) -> None:
    async def copy() -> None:
        async with aclosing(server.client.export(collection)) as pieces:
            async for piece in pieces:
                file.write(piece)

    server.call(copy)
    file.flush()
