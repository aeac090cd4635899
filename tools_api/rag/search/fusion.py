"""One order from what the two halves of a search found: their ranks by RRF, and beside them what they say.

Reciprocal rank fusion alone trusts both halves alike. That goes well while they are equally good, and badly where only
one is: a question for a rare identifier means nothing to vectors, one in other words than the text's nothing to
BM25. How sure a half is shows in its scores, if they are absolute ones. So a hybrid score is

    0.1 · ranks + 0.9 · (0.65 · cosine + 0.35 · share)

* `ranks`: Σ 1 / (k + rank) over both halves with k = 10, divided by what first in both would give; Cormack, Clarke and
  Büttcher, SIGIR 2009. (Their k = 60 is for many rankings of a thousand; with two, it hardly tells first from tenth.)
* `cosine`: of the vectors, 0 if negative.
* `share`: BM25 over the most that any text could have for this question (every word's weight, as often as possible): a
  question of which the best text has only the common words has small shares, and vectors decide.

A chunk that one half did not bring is given the lowest score that this half did bring, since it can't have more; 0 if
the half had nothing further to bring. The chunks of a collection without vectors of today's model are given the same,
though nobody knows their cosine and it may be more. The linear combination is that of Bruch, Gai and Ingber (An
Analysis of Fusion Functions for Hybrid Retrieval, TOIS 2023), with bounds that don't depend on the other results; the
weights were chosen on the collections of `tests/bench/retrieval.py`, each half made worse step by step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

K = 10
RANKS_WEIGHT = 0.1
COSINE_WEIGHT = 0.65


@dataclass(frozen=True, slots=True)
class Key:
    """A chunk of one of the collections that are searched, which are counted from 0."""

    collection: int
    chunk_id: int


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk as one half found it. `score` is a cosine or BM25; `part` the same as 0 to 1."""

    key: Key
    score: float
    part: float


@dataclass(frozen=True, slots=True)
class Half:
    """What one half found, best first. `full` if it was asked for no more than that, so that there may be others."""

    found: Sequence[Found]
    full: bool

    @property
    def rest(self) -> float:
        """The most that a chunk can have which was looked at and is not among them."""
        return self.found[-1].part if self.full and self.found else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A chunk with what both halves found of it. `score` is 0 to 1; ranks count from 1."""

    key: Key
    score: float
    similarity: float | None = None
    bm25: float | None = None
    dense_rank: int | None = None
    words_rank: int | None = None


def only_dense(dense: Half) -> list[Candidate]:
    """Return what vectors found, by cosine."""
    return [
        Candidate(key=each.key, score=each.part, similarity=each.score, dense_rank=rank)
        for rank, each in enumerate(dense.found, 1)
    ]


def only_words(words: Half) -> list[Candidate]:
    """Return what words found, by the share of the question's weight."""
    return [
        Candidate(key=each.key, score=each.part, bm25=each.score, words_rank=rank)
        for rank, each in enumerate(words.found, 1)
    ]


def fused(dense: Half, words: Half) -> list[Candidate]:
    """Return what either half found, by the score above; where that is equal, in the order of their keys."""
    by_vector = {each.key: (rank, each) for rank, each in enumerate(dense.found, 1)}
    by_words = {each.key: (rank, each) for rank, each in enumerate(words.found, 1)}
    candidates = [
        _candidate(key, by_vector.get(key), by_words.get(key), (dense.rest, words.rest))
        for key in by_vector.keys() | by_words.keys()
    ]
    return sorted(candidates, key=lambda each: (-each.score, each.key.collection, each.key.chunk_id))


def _candidate(
    key: Key, dense: tuple[int, Found] | None, words: tuple[int, Found] | None, rest: tuple[float, float]
) -> Candidate:
    cosine = dense[1].part if dense else rest[0]
    share = words[1].part if words else rest[1]
    ranks = _reciprocal(dense) + _reciprocal(words)
    said = COSINE_WEIGHT * cosine + (1 - COSINE_WEIGHT) * share
    return Candidate(
        key=key,
        score=RANKS_WEIGHT * ranks / 2 + (1 - RANKS_WEIGHT) * said,
        similarity=dense[1].score if dense else None,
        bm25=words[1].score if words else None,
        dense_rank=dense[0] if dense else None,
        words_rank=words[0] if words else None,
    )


def _reciprocal(found: tuple[int, Found] | None) -> float:
    """Return 1 for the first rank, less for later ones, 0 for none."""
    return (K + 1) / (K + found[0]) if found else 0.0
