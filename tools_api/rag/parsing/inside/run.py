"""Parses files and tells what was found, one line of JSON after the other. A script of the sandbox.

For each file, in their order: `{"file": 0}` when it begins; then `{"file": 0, "failure": [code, message]}`, or
`document`, lines of `chunks`, and `end`. What the host has read counts, whatever becomes of the rest.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from tokens import Counter

    Tell = Callable[[dict[str, Any]], None]

_CHARACTERS_A_LINE = 100_000
_CHUNKS_A_LINE = 64
_PACKAGES = "/opt/packages"


def main(payload: bytes, _report: Callable[[bytes], None]) -> None:
    """Parse what `payload` names; the files lie in the current folder."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs milliseconds here
    sys.path[:0] = [here]
    sys.path.append(_PACKAGES)
    sys.setrecursionlimit(1000)
    job = json.loads(payload)
    tell = _teller()
    from tokens import make_counter

    counter = make_counter(job["tokenizer"])
    for number, file in enumerate(job["files"]):
        tell({"file": number})
        parse_file(number, file, job, counter, tell)


def parse_file(number: int, file: dict[str, Any], job: dict[str, Any], counter: Counter, tell: Tell) -> None:
    """Parse one file and tell it, or why it can't be."""
    from blocks import Bounds, Refused
    from formats import parse

    try:
        with open(file["path"], "rb") as opened:  # noqa: PTH123
            data = opened.read()
        content = parse(data, file["name"], file["type"], Bounds(**job["bounds"]))
        _tell_document(number, content, int(job["chunk_tokens"]), counter, tell)
    except Refused as refusal:
        tell({"file": number, "failure": [refusal.code, refusal.message]})
    except MemoryError:
        tell({"file": number, "failure": ["memory", "Reading it takes more memory than a file may use here."]})
    except RecursionError:
        tell({"file": number, "failure": ["too_complex", "It is nested too deeply to be read."]})
    except Exception as error:  # noqa: BLE001 - every parser has errors of its own; the file is what is at fault
        tell({"file": number, "failure": ["broken", f"The file is damaged: it can't be read ({_named(error)})."]})


def _tell_document(number: int, content: Any, limit: int, counter: Counter, tell: Tell) -> None:
    from blocks import Refused
    from chunker import Chunker

    chunker = Chunker(counter, limit=limit, title=content.title)
    chunks = chunker.chunks(content.blocks)
    first = next(chunks, None)
    if first is None:
        raise Refused("empty", "There is no text in it.")
    tell(
        {
            "file": number,
            "document": {
                "media_type": content.media_type,
                "title": chunker.title,
                "pages": content.pages,
                "metadata": content.metadata,
            },
        }
    )
    for group in _groups(first, chunks):
        tell({"file": number, "chunks": group})
    tell({"file": number, "end": True})


def _groups(first: Any, rest: Iterable[Any]) -> Iterable[list[Any]]:
    group, size = [first], len(first[0])
    for chunk in rest:
        if len(group) >= _CHUNKS_A_LINE or size > _CHARACTERS_A_LINE:
            yield group
            group, size = [], 0
        group.append(chunk)
        size += len(chunk[0])
    yield group


def _teller() -> Tell:
    """Keep the way out for ourselves: what a library prints goes to stderr."""
    try:
        out = os.dup(1)
        os.dup2(2, 1)
    except (OSError, AttributeError):  # on WASI, where no compiled library could print
        out = 1

    def tell(said: dict[str, Any]) -> None:
        line = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        view = memoryview(line)
        while view:
            view = view[os.write(out, view) :]

    return tell


def _named(error: Exception) -> str:
    text = " ".join(str(error).split())[:150]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
