"""What callers wait for: lists of texts on their way to the encoder's child, in parts, and the rows that came back.

A long list is sent in parts, so many at a time that the child always has a choice of lengths to batch. Should the child
die, its parts are sent to the next one; a list that several children died of is given up.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

from tools_api.embeddings.errors import EncoderUnavailable, TextsRefused
from tools_api.embeddings.frames import Kind, Task, Texts, pack, pack_texts, unpack_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PART_TEXTS = 32
_PART_CHARACTERS = 64 * 1024
_PARTS_SENT = 32
_LIVES = 3
"""How many children may die while a list is computed before it is given up."""
_CHARACTERS_A_TOKEN = 64
"""More than any text has in the mean; what is behind so many times the tokens that a model reads is not sent to it."""


class Call:
    """A caller's list: what is still to be sent, what is on its way, and the rows so far."""

    def __init__(self, number: int, task: Task, texts: Sequence[str], question: str | None, *, count_cut: bool) -> None:
        self.number = number
        self.task = task
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.rows: NDArray[np.float32] | None = None
        self.tokens = 0
        self.cut = 0
        self._texts = texts
        self._question = question
        self._count_cut = count_cut
        self._unsent = _parts(texts)
        self._to_send_again: deque[tuple[int, int]] = deque()
        self._missing = len(texts)
        self._sent: dict[int, tuple[int, int]] = {}
        self._deaths = 0

    @property
    def sent(self) -> bool:
        """Whether the child has something of it."""
        return bool(self._sent)

    @property
    def result(self) -> "NDArray[np.float32]":
        """The rows of a list that is done."""
        assert self.rows is not None  # noqa: S101 -- there was at least one text
        return self.rows

    def frames(self, max_tokens: int) -> Iterator[bytes]:
        """Yield what may be sent now."""
        limit = max_tokens * _CHARACTERS_A_TOKEN
        while len(self._sent) < _PARTS_SENT and (part := self._next_part()):
            start, end = part
            self._sent[start] = part
            texts = [text[:limit] for text in self._texts[start:end]]
            if self._question is not None:
                texts.insert(0, self._question[:limit])
            body = pack_texts(Texts(self.task, texts, self._count_cut))
            yield pack(Kind.TEXTS, body, call=self.number, first=start)

    def take(self, first: int, body: bytes) -> None:
        """Put rows in their place. Raises `BrokenFrame`."""
        import numpy as np

        part = self._sent.pop(first, None)
        if part is None:
            return
        found = unpack_rows(body)
        if self.rows is None:
            self.rows = np.empty((len(self._texts), found.columns), dtype=np.float32)
        start, end = part
        self.rows[start:end] = np.frombuffer(found.data, dtype="<f4").reshape(end - start, found.columns)
        self.tokens += found.tokens
        self.cut += found.cut
        self._missing -= end - start
        if self._missing == 0 and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def survive(self) -> None:
        """Take back what a dead child did not answer."""
        if not self._sent:
            return
        self._deaths += 1
        if self._deaths >= _LIVES:
            self.fail(TextsRefused("The encoder ended several times while it worked on these texts."))
        self._to_send_again.extend(self._sent.values())
        self._sent.clear()

    def _next_part(self) -> tuple[int, int] | None:
        return self._to_send_again.popleft() if self._to_send_again else next(self._unsent, None)


class Calls:
    """The lists that somebody waits for."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.open: dict[int, Call] = {}

    def add(self, task: Task, texts: Sequence[str], question: str | None = None, *, count_cut: bool = False) -> Call:
        """Take up a list of at least one text."""
        call = Call(next(self._numbers) & 0xFFFFFFFF, task, texts, question, count_cut=count_cut)
        self.open[call.number] = call
        return call

    def close(self, call: Call) -> bool:
        """Forget a list, and say whether the child may still be at it."""
        return self.open.pop(call.number, None) is not None and (not call.done.done() or call.done.cancelled())

    def fail_all(self, reason: str, task: Task | None = None) -> None:
        """Tell those who wait that nothing will come; with a `task`, only those who wait for that."""
        for call in list(self.open.values()):
            if task is None or call.task is task:
                call.fail(EncoderUnavailable(reason))


def _parts(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of parts with a bounded number of texts and, but for a single long one, of characters."""
    start = characters = 0
    for place, text in enumerate(texts):
        if place > start and (place - start == _PART_TEXTS or characters + len(text) > _PART_CHARACTERS):
            yield start, place
            start, characters = place, 0
        characters += len(text)
    yield start, len(texts)
