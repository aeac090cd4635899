"""What the view promises to the collection: changes, numbers, ranges, and files without what was removed."""

import threading
from pathlib import Path

import pytest

from tests.tools_api.rag.words.conftest import Open, row
from tools_api.rag.index.words_view import EVERYTHING, WordsView
from tools_api.rag.words.failures import WordsUnavailable


def ids(
    words: WordsView, question: str = "kettle", allowed: list[tuple[int, int]] | None = None, k: int = 1000
) -> list[int]:
    return sorted(hit.chunk_id for hit in words.search(question, k, allowed))


def kettles(*chunks: int) -> list:
    return [row(chunk, f"kettle number{chunk}") for chunk in chunks]


def anywhere(folder: Path, word: bytes) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and word in file.read_bytes()]


def test_a_new_view_has_applied_nothing(words: WordsView) -> None:
    assert words.applied_upto() == 0
    assert ids(words) == []


def test_a_change_adds_and_removes_at_once_and_is_there_after_opening_again(open_words: Open) -> None:
    words = open_words()
    words.apply(kettles(1, 2, 3), [], upto=4)
    words.apply(kettles(7, 8), [(2, 4), (50, 60)], upto=5)
    words.close()
    again = open_words()
    assert ids(again) == [1, 7, 8]
    assert again.applied_upto() == 5


def test_the_number_may_go_back_when_a_view_is_filled_anew(open_words: Open) -> None:
    words = open_words()
    words.apply(kettles(1, 2), [], upto=9)
    words.apply(kettles(3), [EVERYTHING], upto=0)
    words.close()
    again = open_words()
    assert (ids(again), again.applied_upto()) == ([3], 0)


def test_rows_that_fail_on_their_way_leave_the_last_commit(words: WordsView) -> None:
    def rows():
        yield from kettles(5, 6)
        raise ConnectionError("the truth is gone")

    words.apply(kettles(1), [], upto=1)
    with pytest.raises(ConnectionError):
        words.apply(rows(), [(1, 2)], upto=2)
    assert (ids(words), words.applied_upto()) == ([1], 1)
    words.apply(kettles(9), [], upto=2)
    assert ids(words) == [1, 9]


@pytest.mark.parametrize(
    "ranges", [[(10, 20), (30, 31)], [(start, start + 1) for start in range(1, 200, 3)], [(5000, 6000)], []]
)
def test_only_allowed_chunks_are_found_however_many_ranges_there_are(
    words: WordsView, ranges: list[tuple[int, int]]
) -> None:
    words.apply(kettles(*range(300)), [], upto=1)
    expected = [chunk for chunk in range(300) if any(start <= chunk < end for start, end in ranges)]
    assert ids(words, allowed=ranges) == expected
    assert len(words.search("kettle", 3, ranges)) == min(3, len(expected))


def test_an_allowed_range_does_not_change_scores(words: WordsView) -> None:
    words.apply(kettles(*range(30)), [], upto=1)
    everywhere = {hit.chunk_id: hit.score for hit in words.search("kettle number7", 50, None)}
    there = {hit.chunk_id: hit.score for hit in words.search("kettle number7", 50, [(5, 9)])}
    assert there == {chunk: everywhere[chunk] for chunk in range(5, 9)}


def test_purging_takes_removed_words_out_of_every_file(words: WordsView, folder: Path) -> None:
    words.apply(
        [row(1, "kettle stays"), row(2, "kettle qzcanaryone", title="qzcanarytwo", name="qzcanarythree.txt")],
        [],
        upto=1,
    )
    words.apply(kettles(3), [], upto=2)
    words.apply([], [(2, 3)], upto=3)
    assert anywhere(folder, b"qzcanary")  # marked only
    words.purge()
    assert anywhere(folder, b"qzcanary") == []
    assert (ids(words), words.applied_upto()) == ([1, 3], 3)
    assert ids(words, "stays") == [1]


def test_purging_removes_a_whole_segment_and_what_is_replaced_in_the_same_change(
    words: WordsView, folder: Path
) -> None:
    words.apply([row(1, "kettle qzcanaryone"), row(2, "kettle qzcanarytwo")], [], upto=1)
    words.apply(kettles(5), [(1, 3)], upto=2)
    words.purge()
    assert anywhere(folder, b"qzcanary") == []
    assert ids(words) == [5]


def test_purging_writes_only_the_segments_that_held_something(words: WordsView, folder: Path) -> None:
    words.apply(kettles(*range(100)), [], upto=1)
    untouched = {file.name for file in folder.iterdir() if file.suffix == ".store"}
    words.apply([row(1000, "kettle qzcanary"), row(1001, "kettle two")], [], upto=2)
    words.apply([], [(1000, 1001)], upto=3)
    words.purge()
    assert untouched <= {file.name for file in folder.iterdir()}
    assert ids(words) == [*range(100), 1001]


def test_searches_go_on_while_it_is_purged(words: WordsView, folder: Path) -> None:
    words.apply([*kettles(*range(200)), row(500, "qzcanary kettle")], [], upto=1)
    words.apply([], [(500, 501)], upto=2)
    seen: list[int] = []
    stop = threading.Event()

    def search() -> None:
        while not stop.is_set():
            seen.append(len(words.search("kettle", 1000, None)))

    searching = threading.Thread(target=search)
    searching.start()
    try:
        words.purge()
    finally:
        stop.set()
        searching.join()
    assert set(seen) <= {200}
    assert anywhere(folder, b"qzcanary") == []


def test_a_large_segment_is_purged_in_rounds_and_changes_come_in_between(
    words: WordsView, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools_api.rag.words.purge.CHUNKS_A_ROUND", 100)
    monkeypatch.setattr("tools_api.rag.words.purge._IDS_AT_ONCE", 100)
    words.apply([row(0, "qzcanary"), *kettles(*range(1, 600))], [], upto=1)
    words.apply([], [(0, 1), (10, 20)], upto=2)
    rounds = 0
    while words.purge():
        rounds += 1
        words.apply(kettles(8000 + rounds), [(500 + rounds, 501 + rounds)], upto=2 + rounds)
        assert rounds < 50
    assert rounds >= 3
    assert anywhere(folder, b"qzcanary") == []
    gone = {*range(10, 20), *range(501, 501 + rounds)}
    assert set(ids(words, k=10_000)) == {*range(1, 600), *range(8001, 8001 + rounds)} - gone
    assert words.applied_upto() == 2 + rounds


def test_a_purge_of_nothing_changes_nothing(words: WordsView) -> None:
    words.purge()
    words.apply(kettles(1), [], upto=1)
    words.purge()
    assert (ids(words), words.applied_upto()) == ([1], 1)


@pytest.mark.parametrize("suffix", [".store", ".idx", ".term", ".pos", ".fast", ".fieldnorm"])
def test_a_damaged_file_makes_the_view_begin_anew(open_words: Open, folder: Path, suffix: str) -> None:
    words = open_words()
    words.apply(kettles(*range(50)), [], upto=7)
    words.close()
    damaged = next(file for file in folder.iterdir() if file.suffix == suffix)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 4] ^= 0xFF
    damaged.write_bytes(content)
    again = open_words()
    assert (again.applied_upto(), ids(again)) == (0, [])
    again.apply(kettles(1), [], upto=1)
    assert ids(again) == [1]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"segments": [{}]}', b"\xff\xfe nonsense", b"[]"])
def test_a_damaged_list_of_segments_makes_the_view_begin_anew(open_words: Open, folder: Path, content: bytes) -> None:
    words = open_words()
    words.apply(kettles(1), [], upto=7)
    words.close()
    (folder / "meta.json").write_bytes(content)
    assert open_words().applied_upto() == 0


def test_a_missing_file_makes_the_view_begin_anew(open_words: Open, folder: Path) -> None:
    words = open_words()
    words.apply(kettles(1), [], upto=7)
    words.close()
    next(file for file in folder.iterdir() if file.suffix == ".term").unlink()
    assert open_words().applied_upto() == 0


def test_another_language_makes_the_view_begin_anew(open_words: Open) -> None:
    words = open_words("english")
    words.apply(kettles(1), [], upto=7)
    words.close()
    assert open_words("german").applied_upto() == 0


def test_threads_of_the_writer_end_when_it_has_nothing_to_do(open_words: Open) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    words = open_words(idle_s=0.05)
    before = threads()
    words.apply(kettles(1), [], upto=1)
    assert threads() > before
    patience = threading.Event()
    for _ in range(400):
        if threads() <= before:
            break
        patience.wait(0.05)
    assert threads() <= before
    words.apply(kettles(2), [], upto=2)
    assert ids(words) == [1, 2]


@pytest.mark.parametrize("size", [0, 5, 40])
def test_a_file_that_was_cut_off_makes_the_view_begin_anew(open_words: Open, folder: Path, size: int) -> None:
    words = open_words()
    words.apply(kettles(1), [], upto=7)
    words.close()
    cut = next(file for file in folder.iterdir() if file.suffix == ".store")
    cut.write_bytes(cut.read_bytes()[:size])
    assert open_words().applied_upto() == 0


def test_what_tantivy_refuses_is_told_as_unavailable_and_works_when_it_is_over(open_words: Open) -> None:
    first, second = open_words(), open_words()
    first.apply([row(1, "kettle")], [], 1)  # its writer locks the folder
    with pytest.raises(WordsUnavailable):
        second.purge()

    with pytest.raises(WordsUnavailable):
        second.apply([row(2, "kettle")], [], 2)

    first.close()
    second.apply([row(2, "kettle")], [], 2)
    assert {hit.chunk_id for hit in second.search("kettle", 10, None)} == {1, 2}
