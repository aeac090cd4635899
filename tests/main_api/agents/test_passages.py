"""Which sentence of numbered passages a copying model is shown."""

import pytest

from main_api.agents.passages import Telling, telling_sentence

PASSAGES = """\
[1] handbook.pdf, p. 12, part 3 — Security > Login
People authenticate with a password of at least 12 characters. After five failed attempts the account is locked for
15 minutes. The login service issues tokens.

[2] office.md, part 2 — Rooms
The large room is called Aurora. The kitchen is cleaned on Fridays, e.g. after lunch. New laptops are ordered by Ms.
Adeyemi.
- Badges are handed back on leaving
- Visitors sign in at the reception

[3] rooms.csv, part 1
room;seats
Aurora;twelve seats in all"""


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (
            "Find information about user authentication",
            "[1] People authenticate with a password of at least 12 characters.",
        ),
        (
            "What happens after five failed attempts?",
            "[1] After five failed attempts the account is locked for 15 minutes.",
        ),
        ("When is the kitchen cleaned?", "[2] The kitchen is cleaned on Fridays, e.g. after lunch."),
        ("Who orders new laptops?", "[2] New laptops are ordered by Ms Adeyemi."),
        ("What about a badge?", "[2] Badges are handed back on leaving"),
        ("Where do visitors sign in?", "[2] Visitors sign in at the reception"),
        ("How many seats are there?", "[3] Aurora;twelve seats in all"),
    ],
)
def test_the_sentence_that_shares_most_with_the_request_is_shown(request_: str, sentence: str) -> None:
    found = telling_sentence(PASSAGES, request_)
    assert found is not None
    assert f"[{found.place + 1}] {found.text}" == sentence
    assert found.observation == f"[1] {found.text}"


def test_where_no_words_are_shared_the_first_sentence_of_the_first_passage_is() -> None:
    assert telling_sentence(PASSAGES, "xyzzy?") == Telling(
        "People authenticate with a password of at least 12 characters.", 0
    )


def test_headings_speak_for_what_stands_below_them() -> None:
    passages = "[1] a.md, part 1 — Opening\nThe door is red.\n\n[2] a.md, part 2 — Holidays\nThirty days are given."
    assert telling_sentence(passages, "How many holidays?") == Telling("Thirty days are given.", 1)


def test_a_passage_of_one_line_has_no_header() -> None:
    found = telling_sentence("[1] The code is 5521.\n[2] The bins go out on Friday.", "When do the bins go out?")
    assert found == Telling("The bins go out on Friday.", 1)


@pytest.mark.parametrize("content", ["", "There are no documents to search.", "[x] no", "see [1] there", "[1] "])
def test_what_holds_no_passages_is_left_as_it_is(content: str) -> None:
    assert telling_sentence(content, "anything") is None


def test_hostile_passages_take_no_time() -> None:
    content = "[1] a\n" + "[" * 50_000 + "-*" * 50_000 + ". A" * 20_000
    assert telling_sentence(content, "a " * 5000)


def test_a_long_sentence_is_cut() -> None:
    found = telling_sentence("[1] " + "word " * 1000, "word")
    assert found is not None
    assert len(found.text) == 300
