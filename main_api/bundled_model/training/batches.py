"""The corpus as batches of tokens: pools of conversations, sorted by length, cut into rows of about the same size.

A pool is a function of the seed and its number, so training goes on after a stop exactly where it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import IterableDataset

from main_api.bundled_model.corpus.conversation import Conversation, segments
from main_api.bundled_model.corpus.mixture import conversations
from main_api.bundled_model.tokenizer import END_OF_TEXT, load

_PADDED_TO = 32
_PLACES_PADDED_TO = 256
"""Kernels are made for every shape anew, which takes longer than to run them: there are few shapes."""
UNLEARNED = -100


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation in tokens, with which of them the model learns to write."""

    skill: str
    tokens: list[int]
    learned: list[bool]


@dataclass(frozen=True, slots=True)
class Batch:
    """`tokens` (rows, positions); `places` index the flattened positions before a learned token, `targets` are these
    tokens, or `UNLEARNED` where places are padded."""

    tokens: Tensor
    places: Tensor
    targets: Tensor


def encode(tokenizer: Tokenizer, conversation: Conversation) -> Encoded:
    """Encode each segment by itself: what is learned never shares a token with what is not."""
    tokens: list[int] = []
    learned: list[bool] = []
    for text, learn in segments(conversation):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        tokens += ids
        learned += [learn] * len(ids)
    return Encoded(conversation.skill, tokens, learned)


class Pools(IterableDataset[list[Batch]]):
    """An endless stream of pools, each a list of batches, from number `first` on; several workers take turns."""

    def __init__(
        self, tokenizer: Path, *, seed: int, first: int, tokens_per_batch: int, longest: int, size: int = 512
    ) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._seed = seed
        self._first = first
        self._tokens_per_batch = tokens_per_batch
        self._longest = longest
        self._size = size

    def __iter__(self) -> Iterator[list[Batch]]:
        worker = torch.utils.data.get_worker_info()
        step = worker.num_workers if worker else 1
        number = self._first + (worker.id if worker else 0)
        tokenizer = load(self._tokenizer)
        while True:
            yield self.pool(tokenizer, number)
            number += step

    def pool(self, tokenizer: Tokenizer, number: int) -> list[Batch]:
        """Return the batches of one pool in a random order."""
        source = islice(conversations(self._seed, first=number * self._size), self._size)
        encoded = [encode(tokenizer, conversation) for conversation in source]
        fitting = [one for one in encoded if len(one.tokens) <= self._longest]
        fitting.sort(key=lambda one: len(one.tokens), reverse=True)
        batches = [batch(rows, count=count) for rows, count in _cut(fitting, self._tokens_per_batch)]
        Random(f"{self._seed}/{number}").shuffle(batches)
        return batches


def batch(rows: Sequence[Encoded], *, count: int = 0) -> Batch:
    """Return `rows` padded to one length, and with empty rows to `count` of them."""
    length = _padded_length(rows)
    tokens = torch.full((max(count, len(rows)), length), END_OF_TEXT)
    places: list[int] = []
    targets: list[int] = []
    for index, row in enumerate(rows):
        tokens[index, : len(row.tokens)] = torch.tensor(row.tokens)
        for position in range(1, len(row.tokens)):
            if row.learned[position]:
                places.append(index * length + position - 1)
                targets.append(row.tokens[position])
    missing = -len(places) % _PLACES_PADDED_TO
    places += [0] * missing
    targets += [UNLEARNED] * missing
    return Batch(tokens, torch.tensor(places), torch.tensor(targets))


def _padded_length(rows: Sequence[Encoded]) -> int:
    return -(-max(len(row.tokens) for row in rows) // _PADDED_TO) * _PADDED_TO


def _cut(rows: Sequence[Encoded], tokens_per_batch: int) -> Iterator[tuple[list[Encoded], int]]:
    """Yield the rows of every batch, the longest first, and how many it is padded to."""
    start = 0
    while start < len(rows):
        count = max(1, tokens_per_batch // _padded_length(rows[start : start + 1]))
        yield list(rows[start : start + count]), count
        start += count
