"""Phrase files: choices, slots, what is malformed."""

from random import Random

import pytest

from main_api.bundled_model.corpus.language.phrases import PhraseError, Phrases, Piece

BOOK = Phrases(
    "book.txt",
    """
# a remark
[ask]
(please |)(what is|(whats|what's)) {a} (times|x) {b}(?|)
[escaped]
sqrt\\(2\\) \\{x\\} a\\|b\\nnext) too
""",
)


def test_every_choice_and_slot_is_filled():
    said = {BOOK.say(Random(seed), "ask", a="3", b="4") for seed in range(200)}
    assert "please what's 3 x 4?" in said
    assert "what is 3 times 4" in said
    assert not [text for text in said if "  " in text or text != text.strip()]


def test_what_was_filled_in_is_told_from_the_wording():
    pieces = BOOK.pieces(Random(1), "ask", a=" 3", b="4")
    assert Piece(" 3", slot=True) in pieces
    assert [piece.slot for piece in pieces] == [False, True, False, True, False][: len(pieces)]


def test_a_backslash_means_the_sign_itself():
    assert BOOK.say(Random(1), "escaped") == "sqrt(2) {x} a|b\nnext) too"


def test_the_same_seed_says_the_same():
    assert [BOOK.say(Random(5), "ask", a="1", b="2") for _ in range(3)] == [
        BOOK.say(Random(5), "ask", a="1", b="2")
    ] * 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a]\n(x|y", "line 2: a choice is not closed"),
        ("[a]\n{x", "line 2: a slot is not closed"),
        ("x", "line 1: a phrase before the first section"),
    ],
)
def test_a_malformed_file_says_where(text, complaint):
    with pytest.raises(PhraseError, match=complaint):
        Phrases("bad.txt", text)


def test_a_slot_that_is_not_given_is_named():
    with pytest.raises(PhraseError, match=r"\{b\}"):
        BOOK.say(Random(1), "ask", a="1")
