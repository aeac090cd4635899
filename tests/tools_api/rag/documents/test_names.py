"""Names of strangers' files become labels (E50): whatever they are, they are shown and never followed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools_api.rag.documents.names import MAX_NAME, label, media_type_of, unique_label


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("handbook/security.md", "handbook/security.md"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("..\\..\\windows\\system.ini", "windows/system.ini"),
        ("C:\\temp\\a.txt", "C:/temp/a.txt"),
        ("a\0b.txt", "ab.txt"),
        ("in\nvoice\r.txt", "invoice.txt"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u200bb.txt", "ab.txt"),
        ("\ud800.txt", ".txt"),
        (" . / .. / ", "document"),
        ("", "document"),
        ("cafe\u0301.txt", "caf\u00e9.txt"),
    ],
)
def test_what_is_kept_of_a_name(name: str, kept: str) -> None:
    assert label(name) == kept


def test_of_a_long_name_the_end_is_kept() -> None:
    kept = label("x" * 1000 + ".pdf")
    assert len(kept) == MAX_NAME
    assert kept.endswith("x.pdf")


@given(st.text(st.characters(exclude_categories=()), max_size=400))
def test_a_label_leads_nowhere_and_can_be_shown(name: str) -> None:
    kept = label(name)
    assert 0 < len(kept) <= MAX_NAME
    assert not {"", ".", ".."} & set(kept.split("/"))
    assert "\\" not in kept
    kept.encode()


def test_a_second_file_of_the_same_name_is_numbered() -> None:
    assert unique_label("a/b.txt", set()) == "a/b.txt"
    assert unique_label("a/b.txt", {"a/b.txt"}) == "a/b (2).txt"
    assert unique_label("a/b.txt", {"a/b.txt", "a/b (2).txt"}) == "a/b (3).txt"
    assert unique_label("README", {"README"}) == "README (2)"
    assert unique_label(".env", {".env"}) == ".env (2)"


def test_many_files_of_one_name_are_not_compared_with_all_before() -> None:
    asked = 0

    class Taken(set[str]):
        def __contains__(self, name: object) -> bool:
            nonlocal asked
            asked += 1
            return super().__contains__(name)

    taken, numbers = Taken(), dict[str, int]()
    for _ in range(1000):
        taken.add(unique_label("a.txt", taken, numbers))

    assert len(taken) == 1000
    assert "a (1000).txt" in set(taken)
    assert asked < 3000


def test_the_extension_says_the_type_then_the_sender() -> None:
    assert media_type_of("a.pdf", "text/html") == "application/pdf"
    assert media_type_of("notes.md", None) == "text/markdown"
    assert media_type_of("notes", "Text/Plain; charset=utf-8") == "text/plain"
    assert media_type_of("notes", "x" * 500) == "application/octet-stream"
