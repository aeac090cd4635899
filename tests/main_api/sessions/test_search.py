"""Full-text search: what people type finds what they wrote, and is never read as a query language."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from main_api.sessions.store import SessionStore
from tests.main_api.sessions.conftest import ALICE, BOB, conversation


def found(store: SessionStore, typed: str, user_id: int = ALICE) -> list[str]:
    return [hit.session_id for hit in store.search(user_id, typed, limit=50, offset=0)]


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("The Quick brown fox", "quick FOX"),
        ("The Quick brown fox", "bro"),
        ("Überraschung im Café", "uberraschung cafe"),
        ("u\u0308ber NFD", "über"),
        ("오늘 회의록을 정리했습니다", "회의록"),
        ("오늘 회의록을 정리했습니다", "의록"),
        ("今日の会議の議事録", "会議"),
        ("数据库迁移计划", "迁移"),
        ("Привет, мир", "прив"),
        ("see foo-bar.baz(qux)", "foo-bar"),
        ("version 3.11.7 of it", "3.11"),
        ("user@example.com wrote", "user@example.com"),
        ('he said "hello there"', '"hello there"'),
    ],
)
def test_finds(store: SessionStore, written: str, typed: str) -> None:
    session_id = conversation(store, written)
    assert found(store, typed) == [session_id]


@pytest.mark.parametrize(("written", "typed"), [("brown fox", "own"), ("one two", "one three"), ("迁移", "移迁")])
def test_does_not_find(store: SessionStore, written: str, typed: str) -> None:
    conversation(store, written)
    assert found(store, typed) == []


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "",
            " ",
            "***",
            '"',
            '""',
            "'",
            "(",
            "a AND",
            "OR",
            "NOT x",
            "NEAR(a b, 2)",
            "owner:u1",
            "text:alpha OR beta",
        ),
        *("alpha*", "^alpha", "{text}:alpha", "alpha\0beta", "-alpha", "\ud800", "a" * 500, "x " * 250, "; DROP TABLE"),
    ],
)
def test_no_syntax_reaches_the_engine(store: SessionStore, typed: str) -> None:
    conversation(store, "nothing of the kind")
    assert found(store, typed) == []


@pytest.mark.parametrize("typed", ["owner:u1", "u1", '" OR owner:u1 OR "', 'x") OR (owner : "u1"'])
def test_nobody_searches_the_sessions_of_another(store: SessionStore, typed: str) -> None:
    conversation(store, "secret u1 owner x", user_id=ALICE)
    conversation(store, "harmless", user_id=BOB)
    assert found(store, typed, BOB) == []


def test_the_hits_of_others_take_no_place_on_a_page(store: SessionStore) -> None:
    own = conversation(store, "shared word", user_id=BOB)
    for _ in range(3):
        conversation(store, "shared word", user_id=ALICE)
    assert [hit.session_id for hit in store.search(BOB, "shared", limit=1, offset=0)] == [own]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.text(min_size=1, max_size=60), typed=st.text(max_size=60))
def test_any_text_is_indexed_and_any_text_may_be_typed(store: SessionStore, written: str, typed: str) -> None:
    session_id = conversation(store, written)
    found(store, typed)
    store.delete(ALICE, session_id)
    assert store.search(ALICE, written, limit=5, offset=0) == ()


def test_a_hit_says_where_it_is_and_marks_the_words(store: SessionStore) -> None:
    session_id = conversation(store, "why?", "first part " + "padding " * 100 + "the 회의록 needle sits here")
    store.set_title(ALICE, session_id, "A title")
    (hit,) = store.search(ALICE, "needle 회의", limit=5, offset=0)
    assert (hit.title, hit.role) == ("A title", "assistant")
    assert hit.message_id == store.read(ALICE, session_id).messages[1].id
    assert [hit.snippet[start:end] for start, end in hit.highlights] == ["회의", "needle"]
    assert len(hit.snippet) < 200


def test_newest_first_in_pages_of_messages_and_titles(store: SessionStore) -> None:
    ids = [conversation(store, f"common word number {number}") for number in range(5)]
    pages = [store.search(ALICE, "common", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[hit.session_id for hit in page] for page in pages] == [ids[4:2:-1], ids[2:0:-1], ids[:1], []]


def test_parts_of_multi_part_content_are_found(store: SessionStore) -> None:
    from main_api.sessions.records import StoredMessage, new_session_id
    from tests.main_api.sessions.conftest import message

    parts = [
        {"type": "text", "text": "describe the giraffe"},
        {"type": "image_url", "image_url": {"url": "data:zebra"}},
    ]
    template = message("")
    stored = StoredMessage(id="msg_1", time=template.time, turn="t", message={"role": "user", "content": parts})
    store.create(ALICE, new_session_id(), stored)
    assert len(found(store, "giraffe")) == 1
    assert found(store, "zebra") == []
