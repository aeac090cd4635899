"""What is found by which words, in which languages, and that no question is an error."""

from collections.abc import Generator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools_api.rag.words.conftest import Open, row
from tools_api.rag.index.words_view import WordsView
from tools_api.rag.words import words_opener

TEXTS = {
    1: "The function getUserName returns the name that a person registered with.",
    2: "Send an e-mail to the office; heat-transfer is computed by calc_flux on 2024-11-20.",
    3: "HTTPServer answers 1,000 requests, and its APIs are written in C++.",
    4: "東京都に住む猫は魚が好きです。",
    5: "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย",
    6: "Le résumé du café était naïve.",
    7: "Calculating the fluxes, the engineers calculated for days.",
    8: "मुंबई में क्या देखें",
    9: "الكِتَابُ الجديد",
    10: "The office opens at nine.",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Generator[WordsView]:
    words = words_opener("english")(tmp_path_factory.mktemp("collection") / "words")
    words.apply([row(id_, text) for id_, text in TEXTS.items()], [], upto=1)
    yield words
    words.close()


@pytest.mark.parametrize(
    ("question", "chunk"),
    [
        ("getUserName", 1),
        ("getusername", 1),
        ("get_user_name", 1),
        ("user name", 1),
        ("e-mail", 2),
        ("email", 2),
        ("mail", 2),
        ("heat transfer", 2),
        ("heattransfer", 2),
        ("calcFlux", 2),
        ("flux of calc", 2),
        ("20241120", 2),
        ("2024", 2),
        ("HTTP server", 3),
        ("httpserver", 3),
        ("1000", 3),
        ("api", 3),
        ("C++", 3),
        ("東京", 4),
        ("猫", 4),
        ("กรุงเทพ", 5),
        ("resume cafe", 6),
        ("calculation engineer", 7),
        ("क्या", 8),
        ("الكتاب", 9),
        ("what does the office open at", 10),
    ],
)
def test_the_chunk_that_is_meant_comes_first(filled: WordsView, question: str, chunk: int) -> None:
    assert filled.search(question, 3, None)[0].chunk_id == chunk


@pytest.mark.parametrize("question", ["犬", "zebra", "", "   ", "?!", "registred"])
def test_what_is_nowhere_is_not_found(filled: WordsView, question: str) -> None:
    assert filled.search(question, 3, None) == []


def test_question_words_count_only_where_there_are_no_others(words: WordsView) -> None:
    words.apply([row(1, "What is this? What is that?"), row(2, "A kettle boils water.")], [], upto=1)
    assert [hit.chunk_id for hit in words.search("what is a kettle", 5, None)] == [2]
    assert [hit.chunk_id for hit in words.search("what is", 5, None)] == [1]


def test_a_word_in_capitals_is_no_question_word(words: WordsView) -> None:
    words.apply([row(1, "The WHO advises."), row(2, "Guidelines for gardens."), row(3, "Other things.")], [], upto=1)
    assert words.search("WHO guidelines", 5, None)[0].score > 0
    assert {hit.chunk_id for hit in words.search("WHO guidelines", 5, None)} == {1, 2}


def test_what_stands_in_quotes_has_to_occur_like_that(filled: WordsView) -> None:
    assert [hit.chunk_id for hit in filled.search('"the office opens"', 5, None)] == [10]
    assert {hit.chunk_id for hit in filled.search("the office opens", 5, None)} == {2, 10}


def test_quotes_around_what_nobody_wrote_are_taken_for_plain_words(filled: WordsView) -> None:
    assert filled.search('"opens the office"', 5, None)[0].chunk_id == 10


def test_title_headings_and_file_name_are_found_but_count_less_than_the_text(words: WordsView) -> None:
    rows = [
        row(1, "Nothing of it here.", title="Kettles"),
        row(2, "Nothing of it here.", headings=("Kitchen", "Kettle care")),
        row(3, "Nothing of it here.", name="kettle-manual.pdf"),
        row(4, "Nothing but a kettle here."),
    ]
    words.apply(rows, [], upto=1)
    found = [hit.chunk_id for hit in words.search("kettle", 5, None)]
    assert found[0] == 4
    assert set(found) == {1, 2, 3, 4}


def test_another_language_has_its_own_endings(open_words: Open) -> None:
    words = open_words("german")
    words.apply([row(1, "Die Häuser am See"), row(2, "Der Hausmeister")], [], upto=1)
    assert [hit.chunk_id for hit in words.search("was ist ein Haus", 5, None)] == [1]


def test_without_a_language_words_are_found_as_they_are(open_words: Open) -> None:
    words = open_words("none")
    words.apply([row(1, "calculating"), row(2, "calculate")], [], upto=1)
    assert [hit.chunk_id for hit in words.search("Calculate", 5, None)] == [2]


@settings(max_examples=150, deadline=None)
@given(st.text() | st.text(alphabet="ab \"\\*:^~()[]{}+-!&|/?_.'é東\u0301\ud800", max_size=60))
def test_no_question_and_no_text_is_an_error(filled: WordsView, text: str) -> None:
    assert all(hit.score > 0 for hit in filled.search(text, 5, None))


def test_a_very_long_question_is_answered(filled: WordsView) -> None:
    question = " ".join(f"word{number}" for number in range(100_000)) + " kettle"
    assert filled.search(question, 5, None) == []
    assert filled.search("office " + question, 5, None)[0].chunk_id in {2, 10}


def test_a_text_of_any_kind_can_be_added(words: WordsView) -> None:
    hostile = ["\ud800 office", "a" * 100_000, "aB" * 20_000, "\x00office", "a_" * 20_000, "東" * 5_000, ""]
    words.apply([row(number, text) for number, text in enumerate(hostile)], [], upto=1)
    assert {hit.chunk_id for hit in words.search("office", 5, None)} == {0, 3}
