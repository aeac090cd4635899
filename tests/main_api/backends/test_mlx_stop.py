"""Stop words in text that comes in pieces."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from main_api.backends.engines.mlx_stop import cut


@dataclass
class Piece:
    text: str
    finish_reason: str | None = None


def pieces(*texts: str, finish: str = "stop") -> Iterator[Piece]:
    yield from (Piece(text) for text in texts[:-1])
    yield Piece(texts[-1], finish)


def shown(answer: list[Piece]) -> str:
    """What mlx-lm's handler makes of it: the text of a piece that says `stop` is dropped."""
    return "".join(piece.text for piece in answer if piece.finish_reason != "stop")


@pytest.mark.parametrize(
    ("texts", "words", "expected"),
    [
        (("one END two", ""), ["END"], "one "),
        (("one E", "N", "D two", ""), ["END"], "one "),
        (("one E", "N", "d", ""), ["END"], "one ENd"),
        (("aab", "b", ""), ["ab", "b"], "a"),
        (("nothing", "", ""), ["END"], "nothing"),
        (("cut at the end E", "N"), ["END"], "cut at the end EN"),
    ],
)
def test_text_ends_before_the_first_word(texts: tuple[str, ...], words: list[str], expected: str) -> None:
    answer = list(cut(words, pieces(*texts)))
    assert shown(answer) == expected
    assert answer[-1].finish_reason == "stop"


def test_a_limit_stays_a_limit_and_shows_what_was_held_back() -> None:
    answer = list(cut(["END"], pieces("x E", "N", finish="length")))
    assert (shown(answer), answer[-1].finish_reason) == ("x EN", "length")


@given(
    st.lists(st.text("ab", max_size=4), min_size=1, max_size=8),
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=1),
)
def test_any_pieces_give_the_text_before_the_first_word(texts: list[str], words: list[str]) -> None:
    whole = "".join(texts)
    ends = [whole.find(word) for word in words if word in whole]
    answer = shown(list(cut(words, pieces(*texts, ""))))
    assert whole.startswith(answer)
    if not ends:
        assert answer == whole
    else:
        assert len(answer) >= min(ends)
        assert not any(word in answer for word in words)
