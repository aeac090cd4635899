"""JSON and JSON lines: every value on a line with its path, each top-level entry or record by itself."""

from __future__ import annotations

import json
from typing import Any, cast

from blocks import Block, Bounds, Content, Refused, clean, one_line, paragraphs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST = 200


def parse_json(text: str, bounds: Bounds) -> Content:
    """Parse JSON. What is not quite JSON (comments, a comma too many) is taken as plain text.

    Raises `Refused` for what is nested too deeply.
    """
    try:
        value = _loads(text)
    except RecursionError:
        raise Refused("too_complex", "The JSON is nested too deeply to be read.") from None
    except ValueError:
        return Content("application/json", list(paragraphs(text)))
    return Content("application/json", list(_entries(value, bounds)), title=_title(value))


def parse_json_lines(text: str, bounds: Bounds) -> Content:
    """Parse a record on each line; a line that is none is taken as text."""
    blocks: list[Block] = []
    for line in text.split("\n"):
        if line.strip():
            blocks.append(Block("list", _record(line, bounds)))
    return Content("application/jsonl", [block for block in blocks if block.text])


def _record(line: str, bounds: Bounds) -> str:
    try:
        return "\n".join(_lines("", _loads(line), bounds))
    except RecursionError:
        raise Refused("too_complex", "The JSON is nested too deeply to be read.") from None
    except ValueError:
        return line.strip()


def _loads(text: str) -> Any:
    """Read JSON with its numbers as they are written: one of a million digits costs nothing."""
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _title(value: Any) -> str | None:
    said = entries.get("title") if (entries := _mapping(value)) else None
    return one_line(said) if isinstance(said, str) else None


def _entries(value: Any, bounds: Bounds) -> Iterator[Block]:
    entries = _mapping(value)
    if entries is None:
        yield from _parts("", value, bounds)
        return
    for key, part in entries.items():
        heading = one_line(key, 200)
        if heading and (_mapping(part) or _list(part)):
            yield Block("heading", heading, level=1, silent=True)
            yield from _parts(heading, part, bounds)
        else:
            yield Block("heading", "", level=1, silent=True)
            yield Block("list", "\n".join(_lines(key, part, bounds)))


def _parts(path: str, value: Any, bounds: Bounds) -> Iterator[Block]:
    items = _list(value)
    if items is None:
        yield Block("list", "\n".join(_lines(path, value, bounds)))
        return
    for number, item in enumerate(items):
        yield Block("list", "\n".join(_lines(f"{path}[{number}]", item, bounds)))


def _lines(path: str, value: Any, bounds: Bounds) -> Iterator[str]:
    """Yield `path: value` for each value inside, without recursion."""
    waiting: list[tuple[str, Any]] = [(path, value)]
    characters = 0
    while waiting:
        at, item = waiting.pop()
        if (entries := _mapping(item)) is not None:
            waiting += [(f"{at}.{key}" if at else key, part) for key, part in reversed(entries.items())]
        elif (items := _list(item)) is not None:
            waiting += [(f"{at}[{number}]", items[number]) for number in reversed(range(len(items)))]
        else:
            line = clean(f"{at[-500:]}: {_shown(item)}" if at else _shown(item))
            characters += len(line)
            bounds.check_characters(characters)
            yield line


def _shown(item: Any) -> str:
    return item if isinstance(item, str) else {None: "null", True: "true", False: "false"}[item]


def _mapping(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any] | None:
    return cast("list[Any]", value) if isinstance(value, list) else None
