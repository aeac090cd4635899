"""How two rankings become one."""

from hypothesis import given
from hypothesis import strategies as st

from tools_api.rag.search.fusion import Found, Half, Key, fused, only_dense, only_words


def half(*parts: float, first: int = 0, full: bool = False) -> Half:
    return Half([Found(Key(0, first + number), part * 10, part) for number, part in enumerate(parts)], full)


def order(dense: Half, words: Half) -> list[int]:
    return [each.key.chunk_id for each in fused(dense, words)]


def test_first_in_both_comes_first() -> None:
    best = fused(half(0.9, 0.5), half(0.9, 0.5))[0]
    assert (best.key.chunk_id, best.dense_rank, best.words_rank) == (0, 1, 1)


def test_words_that_only_one_text_has_beat_vectors_that_see_no_difference() -> None:
    vectors = half(0.31, 0.30, 0.30, 0.29)
    rare_word = half(0.8, first=3)
    assert order(vectors, rare_word)[0] == 3


def test_a_close_meaning_beats_common_words() -> None:
    vectors = half(0.8, 0.3, 0.2)
    common_words = half(0.12, 0.11, first=1)
    assert order(vectors, common_words)[0] == 0


def test_who_is_missing_in_a_full_half_counts_like_its_last() -> None:
    missing, last = fused(half(0.5, full=True), half(0.2, 0.1, first=7, full=True))[0:2]
    scores = {each.key.chunk_id: each.score for each in fused(half(0.5, full=True), half(0.2, first=7, full=True))}
    emptier = {each.key.chunk_id: each.score for each in fused(half(0.5), half(0.2, first=7))}
    assert all(scores[chunk] > emptier[chunk] for chunk in scores)
    assert missing.score >= last.score


parts = st.lists(st.floats(0, 1), max_size=12).map(lambda each: sorted(each, reverse=True))


@given(parts, parts, st.integers(0, 12))
def test_scores_are_between_0_and_1_fall_and_nobody_is_lost(dense: list[float], words: list[float], shift: int) -> None:
    candidates = fused(half(*dense), half(*words, first=shift))
    scores = [each.score for each in candidates]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 + 1e-9 for score in scores)
    expected = set(range(len(dense))) | {shift + number for number in range(len(words))}
    assert {each.key.chunk_id for each in candidates} == expected
    assert len(candidates) == len(expected)


@given(parts)
def test_one_half_alone_keeps_its_order(found: list[float]) -> None:
    assert [each.key.chunk_id for each in only_dense(half(*found))] == list(range(len(found)))
    assert [each.score for each in only_words(half(*found))] == found
