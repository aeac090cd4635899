"""Read the strings of a JSON text while it is still being written, character by character.

The ReAct agent streams the `answer` of a step before the step is complete. This reader follows the path of keys and
decodes escapes as they come, also when a chunk ends inside one. It expects well-formed JSON (the engine constrains
it); on anything else it goes quiet, and the whole text is parsed leniently afterwards.
"""

from dataclasses import dataclass

Path = tuple[str | int, ...]

_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = frozenset("0123456789abcdefABCDEF")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class StringPiece:
    """Some decoded characters of the string value at `path`. `last` is set on its closing quote."""

    path: Path
    text: str
    last: bool = False


class JsonStringReader:
    """Feed chunks of one JSON text; get the pieces of its strings. What stands before the first `{` is skipped."""

    def __init__(self) -> None:
        self._path: list[str | int] = []
        self._containers: list[str] = []
        self._in_string = False
        self._is_key = False
        self._expects_key = False
        self._escape = ""  # the escape read so far, from its backslash
        self._high = ""  # a high surrogate that waits for its other half
        self._text: list[str] = []
        self._lost = False

    def feed(self, chunk: str) -> list[StringPiece]:
        """Read on; return the pieces that became known, in order."""
        pieces: list[StringPiece] = []
        for char in chunk:
            if self._lost or self._finished:
                break
            if self._in_string:
                self._read_in_string(char, pieces)
            else:
                self._read_structure(char)
        self._flush(pieces)
        return pieces

    @property
    def _finished(self) -> bool:
        return not self._containers and bool(self._path)

    def _read_structure(self, char: str) -> None:
        if not self._containers:
            if char == "{":
                self._open(char)
            return
        if char == '"':
            self._in_string = True
            self._is_key = self._expects_key
        elif char in "{[":
            self._open(char)
        elif char in "}]":
            self._close(char)
        elif char == ",":
            self._next_member()
        elif char == ":":
            self._expects_key = False

    def _open(self, bracket: str) -> None:
        self._containers.append(bracket)
        self._path.append("" if bracket == "{" else 0)
        self._expects_key = bracket == "{"

    def _close(self, bracket: str) -> None:
        if self._containers.pop() != ("{" if bracket == "}" else "["):
            self._lost = True
        if self._containers:  # the outermost stays, as the mark that the text is complete
            self._path.pop()
            self._expects_key = False

    def _next_member(self) -> None:
        place = self._path[-1]
        if isinstance(place, int):
            self._path[-1] = place + 1
        else:
            self._expects_key = True

    def _read_in_string(self, char: str, pieces: list[StringPiece]) -> None:
        if self._escape:
            self._read_escape(char)
        elif char == "\\":
            self._escape = char
        elif char == '"':
            self._end_string(pieces)
        else:
            self._emit(char)

    def _read_escape(self, char: str) -> None:
        if self._escape == "\\":
            if char == "u":
                self._escape += char
            elif char in _ESCAPES:
                self._escape = ""
                self._emit(_ESCAPES[char])
            else:
                self._lost = True
            return
        if char not in _HEX:
            self._lost = True
            return
        self._escape += char
        if len(self._escape) == len("\\uFFFF"):
            code, self._escape = int(self._escape[2:], 16), ""
            self._emit_unit(code)

    def _emit_unit(self, code: int) -> None:
        if 0xD800 <= code < 0xDC00:
            self._drop_half()
            self._high = chr(code)
        elif 0xDC00 <= code < 0xE000:
            if self._high:
                self._text.append(chr(0x10000 + ((ord(self._high) - 0xD800) << 10) + code - 0xDC00))
                self._high = ""
            else:
                self._text.append(_REPLACEMENT)
        else:
            self._emit(chr(code))

    def _emit(self, char: str) -> None:
        self._drop_half()
        self._text.append(char)

    def _drop_half(self) -> None:
        if self._high:  # half a pair is no character, and no encoder would take it
            self._text.append(_REPLACEMENT)
            self._high = ""

    def _end_string(self, pieces: list[StringPiece]) -> None:
        self._drop_half()
        self._in_string = False
        if self._is_key:
            self._path[-1] = "".join(self._text)
            self._text.clear()
            self._expects_key = False
        else:
            self._flush(pieces, last=True)

    def _flush(self, pieces: list[StringPiece], *, last: bool = False) -> None:
        if self._is_key or self._lost or not (self._text or last):
            return
        pieces.append(StringPiece(tuple(self._path), "".join(self._text), last))
        self._text.clear()
