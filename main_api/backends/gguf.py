"""Read what a GGUF file says about itself: its key-value header, without the tensors and without loading an engine.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian). Long arrays (the
vocabulary) are stepped over. Files come from strangers, so every length is checked against the file.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAGIC: Final = b"GGUF"
_MOST_KEYS: Final = 65_536
_LONGEST_STRING: Final = 1_048_576
_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", _BOOL: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip

Scalar = str | int | float | bool


class NotGguf(ValueError):
    """The file is no GGUF file that we can read; the message says why in plain words."""


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """What the header says, as far as it says it."""

    architecture: str
    name: str | None
    context_length: int | None
    chat_template: str | None

    @property
    def calls_tools(self) -> bool:
        """Tell whether the chat template knows OpenAI's `tools`."""
        return self.chat_template is not None and "tools" in self.chat_template


def read_facts(path: Path) -> GgufFacts:
    """Read the header of `path` (blocking; about 0.1 s for a vocabulary of 150,000). Raises `NotGguf`, `OSError`."""
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                values = _Header(data).read()
        except (ValueError, struct.error) as error:
            if isinstance(error, NotGguf):
                raise
            raise NotGguf("the file is empty or breaks off in its header") from error
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str):
        raise NotGguf("the file does not name its architecture")
    name, template = values.get("general.name"), values.get("tokenizer.chat_template")
    context = values.get(f"{architecture}.context_length")
    return GgufFacts(
        architecture=architecture,
        name=name if isinstance(name, str) else None,
        context_length=context if isinstance(context, int) and context > 0 else None,
        chat_template=template if isinstance(template, str) else None,
    )


class _Header:
    """A cursor over the header's bytes."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._size = len(data)
        self._at = 0

    def read(self) -> dict[str, Scalar]:
        if self._take(4) != _MAGIC:
            raise NotGguf("the file is not a GGUF file")
        if (version := self._number("<I")) not in {2, 3}:
            raise NotGguf(f"GGUF version {version} is not supported")
        self._number("<Q")  # tensors
        count = self._number("<Q")
        if count > _MOST_KEYS:
            raise NotGguf("the header has too many keys")
        values: dict[str, Scalar] = {}
        for _ in range(count):
            key = self._string()
            if (value := self._value(self._number("<I"))) is not None:
                values[key] = value
        return values

    def _value(self, kind: int) -> Scalar | None:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            self._skip_array()
            return None
        return self._scalar(kind)

    def _skip_array(self) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        if kind == _ARRAY:
            raise NotGguf("the header nests arrays")
        if kind in _SCALARS:
            self._skip(count * struct.calcsize(_SCALARS[kind]))
            return
        if kind != _STRING or count > self._size:
            raise NotGguf("the header has a value of an unknown kind")
        for _ in range(count):
            self._skip(self._number("<Q"))

    def _scalar(self, kind: int) -> Scalar:
        if kind not in _SCALARS:
            raise NotGguf("the header has a value of an unknown kind")
        return struct.unpack(_SCALARS[kind], self._take(struct.calcsize(_SCALARS[kind])))[0]

    def _string(self) -> str:
        length = self._number("<Q")
        if length > _LONGEST_STRING:
            raise NotGguf("the header has a text that is too long")
        return self._take(length).decode("utf-8", errors="replace")

    def _number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _take(self, length: int) -> bytes:
        self._skip(length)
        return self._data[self._at - length : self._at]

    def _skip(self, length: int) -> None:
        self._at += length
        if self._at > self._size:
            raise NotGguf("the file breaks off in its header")
