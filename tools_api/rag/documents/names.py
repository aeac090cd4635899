"""Names of uploaded files. They are labels: cleaned, shown and filtered by, and never part of a path of ours."""

import mimetypes
import unicodedata
from collections.abc import Collection, MutableMapping
from itertools import count

MAX_NAME = 300


def label(name: str) -> str:
    """Return what is kept of a file's name: a relative name with `/`, without `.`, `..`, control or direction marks.

    `document` if nothing is left; of a long name its end, where the extension is.
    """
    normal = unicodedata.normalize("NFC", name).replace("\\", "/")
    visible = "".join(character for character in normal if not unicodedata.category(character).startswith("C"))
    steps = [step.strip() for step in visible.split("/")]
    kept = "/".join(step for step in steps if step not in {"", ".", ".."})
    return kept[-MAX_NAME:].lstrip("/ ") or "document"


def unique_label(name: str, taken: Collection[str], numbers: MutableMapping[str, int] | None = None) -> str:
    """Return the name, or `name (2).txt` and so on if it is taken by another file of the same upload.

    `numbers` keeps how far the numbers of each name have come, so that thousands of one name are soon told apart.
    """
    if name not in taken:
        return name
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.rpartition(".")
    if not stem:
        stem, dot, suffix = base, "", ""
    numbers = {} if numbers is None else numbers
    for number in count(numbers.get(name, 2)):
        if (candidate := f"{folder}{slash}{stem} ({number}){dot}{suffix}") not in taken:
            numbers[name] = number + 1
            return candidate
    raise AssertionError("numbers do not end")


def media_type_of(name: str, said: str | None) -> str:
    """Return the type that a name's extension stands for, else what the sender said; a parser looks at the content."""
    guessed, _ = mimetypes.guess_type(name, strict=False)
    if guessed is None and name.lower().endswith((".md", ".markdown")):
        guessed = "text/markdown"
    said = (said or "").partition(";")[0].strip().lower()
    return (guessed or (said if 2 < len(said) <= 100 and said.isascii() and said.isprintable() else "")) or (
        "application/octet-stream"
    )
