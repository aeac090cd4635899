"""Frames between the tools API and the encoder's child."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools_api.embeddings.frames import (
    HEAD,
    BrokenFrame,
    Kind,
    Rows,
    Task,
    Texts,
    pack,
    pack_rows,
    pack_texts,
    unpack_head,
    unpack_rows,
    unpack_texts,
)


@given(st.lists(st.text(max_size=50), max_size=20), st.sampled_from(Task), st.booleans())
def test_texts_come_back_as_they_went(texts: list[str], task: Task, count_cut: bool) -> None:
    found = unpack_texts(pack_texts(Texts(task, texts, count_cut)))
    assert (found.task, list(found.texts), found.count_cut) == (task, texts, count_cut)


def test_half_a_character_becomes_a_question_mark() -> None:
    assert unpack_texts(pack_texts(Texts(Task.QUERY, ["a\ud800b"]))).texts == ["a?b"]


def test_a_head_says_what_follows() -> None:
    frame = pack(Kind.ROWS, b"body", call=7, first=64)
    assert unpack_head(frame[: HEAD.size]) == (Kind.ROWS, 7, 64, 4)


def test_rows_come_back_with_their_counts() -> None:
    found = unpack_rows(pack_rows(Rows(2, 10, 1, b"\0" * 16)))
    assert (found.columns, found.tokens, found.cut, bytes(found.data)) == (2, 10, 1, b"\0" * 16)


@pytest.mark.parametrize("head", [HEAD.pack(9, 99, 0, 0), HEAD.pack(0xFFFFFFFF, 2, 0, 0), HEAD.pack(3, 2, 0, 0)])
def test_what_is_no_frame_is_refused(head: bytes) -> None:
    with pytest.raises(BrokenFrame):
        unpack_head(head)


@given(st.binary(max_size=64))
def test_no_body_makes_reading_it_fail_otherwise(body: bytes) -> None:
    for read in (unpack_rows, unpack_texts):
        try:
            read(body)
        except BrokenFrame:
            continue
