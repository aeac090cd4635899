"""The end of a call's output is found wherever its bytes are cut, and what follows is kept for the next."""

import pytest

from tools_api.sandbox.conversation import Passage
from tools_api.sandbox.execution import Pipe
from tools_api.sandbox.protocol import end_mark

MARK = end_mark("0123456789abcdef")


def passage(limit: int = 1000) -> tuple[Passage, list[str]]:
    told: list[str] = []
    return Passage(Pipe(limit), MARK, lambda: told.append("overflow")), told


@pytest.mark.parametrize("size", range(1, 25))
def test_the_mark_is_found_however_the_stream_is_cut(size: int) -> None:
    stream = b"before\0 \0\0after" + MARK + b"next"
    taken, told = passage()
    position = 0
    while position < len(stream):
        piece = stream[position : position + size]
        position += size
        if (rest := taken.add(piece)) is not None:
            break
    else:
        pytest.fail("the mark was not found")
    assert taken.close() == b"before\0 \0\0after"
    assert rest + stream[position:] == b"next"
    assert told == []


def test_what_only_begins_like_a_mark_is_output() -> None:
    taken, _ = passage()
    assert taken.add(MARK[:-1]) is None
    assert taken.add(b"x" + MARK) == b""
    assert taken.close() == MARK[:-1] + b"x"


def test_what_was_held_back_is_not_lost_when_no_mark_comes() -> None:
    taken, _ = passage()
    assert taken.add(b"last words" + MARK[:5]) is None
    assert taken.close() == b"last words" + MARK[:5]


def test_the_mark_is_found_behind_what_is_too_much() -> None:
    taken, told = passage(limit=4)
    assert taken.add(b"123") is None
    assert taken.add(b"456789" + MARK + b"next") == b"next"
    assert taken.close() == b"1234"
    assert told == ["overflow"]


def test_a_listener_hears_neither_the_mark_nor_what_follows() -> None:
    taken, _ = passage()
    heard: list[bytes] = []
    taken.pipe.listens = heard.append
    taken.add(b"one" + MARK[:7])
    taken.add(MARK[7:] + b"two")
    assert heard == [b"one"]
