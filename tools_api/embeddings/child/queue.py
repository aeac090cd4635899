"""What waits for the model in the encoder's child, and what goes next.

Texts come in parts of a caller's list. One thread prepares them (tokens are counted before anything is batched),
another takes batches. Questions go before pairs to be ranked, those before passages. Within a task the callers take
turns: a batch begins with the oldest text of the caller whose turn it is, and is filled with the texts that come next
in length, whoever's they are, so that hardly anything is padded and nobody waits for another's thousand.
"""

import threading
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools_api.embeddings.frames import Task, Texts

_SPREAD = 0.2
"""How much shorter than the longest a text of a batch may be. The difference is padded, that is computed in vain."""


@dataclass(slots=True)
class Part:
    """A part of a caller's list on its way: `rows` are filled in as its texts are computed, in any order."""

    call: int
    first: int
    texts: Texts
    rows: list[bytes] = field(default_factory=list[bytes])
    missing: int = 0
    tokens: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text as the model takes it. `features` is the model's affair."""

    tokens: int
    features: Any
    cut: bool = False


@dataclass(slots=True, eq=False)
class Item:
    """A prepared text at its `place` in a part."""

    part: Part
    place: int
    prepared: Prepared
    taken: bool = False


class _Lane:
    """What waits for one task."""

    def __init__(self) -> None:
        self.raw: OrderedDict[int, deque[Part]] = OrderedDict()
        self.preparing: Part | None = None
        self.oldest: OrderedDict[int, deque[Item]] = OrderedDict()
        self.by_length: list[tuple[int, int, Item]] = []

    @property
    def coming(self) -> bool:
        return bool(self.raw) or self.preparing is not None

    def next_raw(self) -> Part:
        """Take the oldest part of the caller whose turn it is."""
        call, parts = self.raw.popitem(last=False)
        part = parts.popleft()
        if parts:
            self.raw[call] = parts  # at the end of the turns
        return part

    def anchor(self) -> Item | None:
        """Take the oldest text of the caller whose turn it is, if any waits."""
        while self.oldest:
            call, items = self.oldest.popitem(last=False)
            while items:
                item = items.popleft()
                if not item.taken:
                    self.oldest[call] = items
                    return item
        return None

    def drop(self, call: int) -> None:
        self.raw.pop(call, None)
        self.oldest.pop(call, None)
        self.by_length = [entry for entry in self.by_length if entry[2].part.call != call]


class Queue:
    """Parts in, batches out. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lanes = {task: _Lane() for task in sorted(Task)}
        self._changed = threading.Condition()
        self._count = 0

    def add(self, part: Part) -> None:
        """Let a part wait until it is prepared."""
        part.missing = len(part.texts.texts)
        with self._changed:
            self._lanes[part.texts.task].raw.setdefault(part.call, deque()).append(part)
            self._changed.notify_all()

    def drop(self, call: int) -> None:
        """Forget what waits of a call."""
        with self._changed:
            for lane in self._lanes.values():
                lane.drop(call)
                if lane.preparing is not None and lane.preparing.call == call:
                    lane.preparing = None
            self._changed.notify_all()

    def next_part(self) -> Part:
        """Wait for a part that is to be prepared, and take it."""
        with self._changed:
            while True:
                for lane in self._lanes.values():
                    if lane.raw:
                        lane.preparing = lane.next_raw()
                        return lane.preparing
                self._changed.wait()

    def prepared(self, part: Part, texts: Sequence[Prepared]) -> None:
        """Let the texts of a part wait for a batch; nothing if it was dropped meanwhile."""
        with self._changed:
            lane = self._lanes[part.texts.task]
            if lane.preparing is part:
                lane.preparing = None
                self._queue_items(lane, part, texts)
            self._changed.notify_all()

    def next_batch(self, budget: Callable[[Task], int]) -> list[Item]:
        """Wait for a batch of one task with at most `budget(task)` tokens, padding included, and at least one text.

        No batch of a later task begins while questions are being prepared: that takes a moment, a batch takes longer.
        """
        with self._changed:
            while True:
                for task, lane in self._lanes.items():
                    if batch := _batch(lane, budget(task)):
                        return batch
                    if lane.coming and task is Task.QUERY:
                        break
                self._changed.wait()

    def filled(self, batch: Sequence[Item], rows: Sequence[bytes]) -> list[Part]:
        """Put the rows of a batch into their parts and return the parts that are whole now."""
        done: list[Part] = []
        with self._changed:
            for item, row in zip(batch, rows, strict=True):
                item.part.rows[item.place] = row
                item.part.missing -= 1
                if item.part.missing == 0:
                    done.append(item.part)
        return done

    def _queue_items(self, lane: _Lane, part: Part, texts: Sequence[Prepared]) -> None:
        waiting = lane.oldest.setdefault(part.call, deque())
        for place, prepared in enumerate(texts):
            item = Item(part, place, prepared)
            self._count += 1
            waiting.append(item)
            insort(lane.by_length, (prepared.tokens, self._count, item))


def _batch(lane: _Lane, budget: int) -> list[Item]:
    """Take the anchor, and around it in the order of length what fits: longest text times texts is within `budget`."""
    anchor = lane.anchor()
    if anchor is None:
        return []
    entries = lane.by_length
    at = bisect_left(entries, (anchor.prepared.tokens, 0))
    while entries[at][2] is not anchor:
        at += 1
    start, end = at, at + 1
    longest = shortest = anchor.prepared.tokens
    while True:
        options = [entries[start - 1][0]] if start > 0 else []
        options += [entries[end][0]] if end < len(entries) else []
        if not options:
            break
        nearest = min(options, key=lambda tokens: abs(tokens - anchor.prepared.tokens))
        longest, shortest = max(longest, nearest), min(shortest, nearest)
        if longest * (end - start + 1) > budget or longest - shortest > _SPREAD * longest + 1:
            break
        if start > 0 and entries[start - 1][0] == nearest:
            start -= 1
        else:
            end += 1
    batch = [item for _, _, item in entries[start:end]]
    del entries[start:end]
    for item in batch:
        item.taken = True
    return batch
