"""Counts a text as the embedding model does, with its tokenizer; without one, by an estimate that is rather high."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from array import array
from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Protocol

    class Starts(Protocol):
        """Where the tokens of a text begin, ascending. Their number alone is much cheaper than their places."""

        def __len__(self) -> int: ...
        def __getitem__(self, index: int, /) -> int: ...


_ESTIMATED = re.compile(r"[A-Za-z]+|[^\W\dA-Za-z_]|\d{1,3}|[^\w\s]|_")
_LETTERS_A_TOKEN = 5
_AT_ONCE = 1 << 17
"""Characters that are encoded together: an encoding takes some hundred bytes for each token while it lives."""
_MOST_WORDS = 200_000
_SPACE = re.compile(r"\s")
_ASCII_WORD = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\S+")


_CHINESE = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
"""What the tokenizer takes for a word of its own (as its library has them, slips included)."""
_NOTHING = frozenset({"Cc", "Cf", "Co", "Cs"})
"""Kinds of characters that it leaves out."""
_RARE = re.compile("[^\u0020-\u052f\u2000-\u2bff\u3000-\u9fff\uac00-\ud7a3\uff00-\uffef]")


class Counter:
    """Counts tokens, here by an estimate. `special` is what a model adds to each text; counts do not include it."""

    special = 2
    is_additive = True
    """Whether parts of a text that is cut at white space count as much as the whole."""

    def starts(self, texts: Sequence[str]) -> Iterator[Starts]:
        """Yield for each text where its tokens begin."""
        for text in texts:
            yield self._estimated(text)

    def count(self, text: str) -> int:
        """Count the tokens of a text."""
        return sum(len(starts) for starts in self.starts([text]))

    def _estimated(self, text: str) -> Starts:
        starts = array("L")
        for piece in _ESTIMATED.finditer(text):
            starts.extend(range(piece.start(), piece.end(), _LETTERS_A_TOKEN))
        return starts


class ModelCounter(Counter):
    """Counts with a tokenizer of any kind."""

    is_additive = False

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer: Any = tokenizer
        self.special = int(tokenizer.num_special_tokens_to_add(False))

    def starts(self, texts: Sequence[str]) -> Iterator[Starts]:
        """Yield for each text where its tokens begin."""
        batch: list[str] = []
        size = 0
        for text in texts:
            if batch and size + len(text) > _AT_ONCE:
                yield from self._encoded(batch)
                batch, size = [], 0
            if len(text) > _AT_ONCE:
                yield self._of_long(text)
            else:
                batch.append(text)
                size += len(text)
        yield from self._encoded(batch)

    def _encoded(self, batch: list[str]) -> Iterator[Starts]:
        for item in self._tokenizer.encode_batch(batch, add_special_tokens=False):
            yield _Places(len(item), lambda item=item: [start for start, _ in item.offsets])

    def _of_long(self, text: str) -> array[int]:
        starts = array("L")
        position = 0
        while position < len(text):
            end = position + _AT_ONCE
            if end < len(text) and (space := _SPACE.search(text, end, end + 1000)):
                end = space.start()
            part = self._tokenizer.encode(text[position:end], add_special_tokens=False)
            starts.extend(position + start for start, _ in part.offsets)
            position = end
        return starts


class WordCounter(Counter):
    """Counts as a tokenizer of BERT's kind does (BertNormalizer, BertPreTokenizer, WordPiece): it looks at each word by
    itself, so each is looked at once; and for most languages no library has to be loaded."""

    def __init__(self, file: str, said: Any) -> None:
        self._file = file
        self._library: Counter | None = None
        model, normalizer = said["model"], said["normalizer"]
        self._pieces: dict[str, int] = model["vocab"]
        self._prefix: str = model["continuing_subword_prefix"]
        self._longest = int(model["max_input_chars_per_word"])
        self._lowers = bool(normalizer["lowercase"])
        strips: Any = normalizer.get("strip_accents")
        self._strips = self._lowers if strips is None else bool(strips)
        self._known: dict[str, int] = {}
        around: Any = said.get("post_processor") or {}
        parts: list[Any] = around.get("single", [])
        self.special = sum("SpecialToken" in part for part in parts) or 2

    def starts(self, texts: Sequence[str]) -> Iterator[Starts]:
        """Yield for each text where its tokens begin."""
        for text in texts:
            yield _Places(self.count(text), lambda text=text: self._places(text))

    def count(self, text: str) -> int:
        """Count the tokens of a text."""
        words: list[str] = _pattern(text).findall(text)
        try:
            return sum(map(self._known.__getitem__, words))
        except KeyError:
            counts = self._learnt(words)
            return sum(map(counts.__getitem__, words))

    def _learnt(self, words: list[str]) -> dict[str, int]:
        if len(self._known) > _MOST_WORDS:
            self._known = {}
        for word in set(words).difference(self._known):
            if word.isascii() and word.isalnum():
                self._known[word] = self._cut(word.lower() if self._lowers else word)
            elif _RARE.search(word) and (exact := self._exact()):
                self._known[word] = exact.count(word)
            else:
                self._known[word] = sum(map(self._cut, self._parts(word)))
        return self._known

    def _exact(self) -> Counter | None:
        """Return a counter that has the library, for letters whose Unicode tables differ; None where there is none."""
        if self._library is None:
            try:
                self._library = ModelCounter(_load(self._file))
            except (ImportError, ValueError):
                self._library = Counter()
        return self._library if isinstance(self._library, ModelCounter) else None

    def _parts(self, word: str) -> Iterator[str]:
        """Yield what a word is to the model: runs of letters, and marks and Chinese characters by themselves."""
        if self._strips:
            word = "".join(
                letter for letter in unicodedata.normalize("NFD", word) if unicodedata.category(letter) != "Mn"
            )
        run = ""
        for letter in word.lower() if self._lowers else word:
            kind = unicodedata.category(letter)
            if kind[0] == "P" or (letter.isascii() and not letter.isalnum()) or _is_chinese(ord(letter)):
                if run:
                    yield run
                yield letter
                run = ""
            elif kind not in _NOTHING:
                run += letter
        if run:
            yield run

    def _cut(self, word: str) -> int:
        if word in self._pieces or len(word) > self._longest:
            return 1
        start = count = 0
        while start < len(word):
            prefix = self._prefix if start else ""
            end = len(word)
            while end > start and prefix + word[start:end] not in self._pieces:
                end -= 1
            if end == start:
                return 1  # the whole word is unknown
            start, count = end, count + 1
        return count

    def _places(self, text: str) -> array[int]:
        starts = array("L")
        for word in _pattern(text).finditer(text):
            starts.extend([word.start()] * self._known.get(word[0], 1))
        return starts


class _Places:
    """A number of tokens, and their places when someone asks."""

    def __init__(self, number: int, find: Callable[[], Sequence[int]]) -> None:
        self._number = number
        self._find = find
        self._found: Sequence[int] | None = None

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, index: int) -> int:
        if self._found is None:
            self._found = self._find()
        return self._found[index]


def _is_chinese(code: int) -> bool:
    return any(first <= code <= last for first, last in _CHINESE) if code >= _CHINESE[0][0] else False


def _pattern(text: str) -> re.Pattern[str]:
    """In ASCII every mark is a token of its own; elsewhere a mark may belong to its letter."""
    return _ASCII_WORD if text.isascii() else _WORD


def tokens_between(starts: Starts, start: int, end: int) -> int:
    """Count the tokens that begin in `[start, end)`."""
    return bisect_left(starts, end) - bisect_left(starts, start)


def make_counter(tokenizer: str | None) -> Counter:
    """Return the best counter that there is; `tokenizer` is a `tokenizer.json`, one of the operator's own."""
    if tokenizer is None:
        return Counter()
    try:
        with open(tokenizer, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs milliseconds here
            said: Any = json.load(file)
        kinds = {_type(said, part) for part in ("model", "normalizer", "pre_tokenizer")}
        if kinds == {"WordPiece", "BertNormalizer", "BertPreTokenizer"}:
            return WordCounter(tokenizer, said)
        return ModelCounter(_load(tokenizer))
    except (ImportError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return Counter()


def _type(said: Any, part: str) -> str:
    value: Any = said.get(part)
    return str(value["type"]) if value else ""


def _load(file: str) -> Any:
    """Load a tokenizer. Raises `ImportError` where the library is missing, `ValueError` for a file that is none."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads would count as processes
    from tokenizers import Tokenizer

    try:
        loaded: Any = Tokenizer.from_file(file)
    except Exception as error:  # noqa: BLE001 - the library raises no class of its own
        raise ValueError(str(error)) from None
    loaded.no_truncation()
    loaded.no_padding()
    return loaded
