"""How passages read to a model, and how much of them."""

from tools_api.rag.tool_text import Passage, parts_text, passages_text


def passage(number: int, text: str, *headings: str) -> Passage:
    return Passage(citation="handbook.pdf, p. 12", part=number, headings=headings, text=text)


def test_a_passage_has_its_number_where_it_is_and_its_text() -> None:
    text, shown = passages_text(
        [passage(34, " Log in with your badge.\n", "Security", "Login"), passage(2, "Ask the desk.")]
    )

    assert shown == 2
    assert text == (
        "[1] handbook.pdf, p. 12, part 34 — Security > Login\nLog in with your badge.\n\n"
        "[2] handbook.pdf, p. 12, part 2\nAsk the desk."
    )


def test_what_does_not_fit_is_cut_at_a_word_or_left_out_and_counted() -> None:
    text, shown = passages_text([passage(number, "word " * 100) for number in range(1, 9)], max_chars=1000)

    assert len(text) < 1200
    assert "[1]" in text
    assert "[2]" in text
    assert "[4]" not in text
    assert "more left out" in text
    assert shown == 2
    assert "wor…" not in text


def test_one_long_passage_is_shown_as_far_as_there_is_room() -> None:
    text, shown = passages_text([passage(1, "x" * 10_000)], max_chars=500)

    assert (len(text), shown) == (500, 1)
    assert text.endswith("…")


def test_endless_headings_leave_room_for_the_text() -> None:
    text, shown = passages_text([passage(1, "Found.", *["Heading " * 20] * 10)], max_chars=500)

    assert shown == 1
    assert text.endswith("Found.")


def test_parts_are_read_on_where_they_stop() -> None:
    parts = [passage(number, f"Sentence {number}. " * 20, "Security") for number in range(3, 10)]
    text, shown = parts_text("handbook.pdf", parts, of=40, max_chars=1000)

    assert 1 < shown < 7
    assert text.startswith(f"handbook.pdf, parts 3 to {2 + shown} of 40. To go on, read with around: {3 + shown}.")
    assert text.count("Security") == 1
    assert f"Sentence {2 + shown}." in text


def test_the_last_part_is_the_end() -> None:
    text, _ = parts_text("notes.md", [passage(2, "The end.")], of=2)

    assert text.startswith("notes.md, parts 2 to 2 of 2. This is its end.")
