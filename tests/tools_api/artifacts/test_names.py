"""Names from tools, made harmless."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools_api.artifacts.names import MAX_NAME, attachment, safe_media_type, safe_name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("plot.png", "plot.png"),
        ("Bericht für März.pdf", "Bericht für März.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/shadow", "shadow"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\x\\y.txt", "y.txt"),
        ("a\x00b.txt", "ab.txt"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie_ x"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        ("..", "file"),
        ("", "file"),
        ("   ", "file"),
        ("CON", "file_CON"),
        ("nul.txt", "file_nul.txt"),
        (".bashrc", "bashrc"),
        ('a"b<c>|?*.txt', "a_b_c____.txt"),
        ("x" * 300 + ".csv", "x" * 116 + ".csv"),
        ("\ud800", "file"),
    ],
)
def test_a_name_is_a_base_name_that_is_safe_everywhere(name: str, kept: str) -> None:
    assert safe_name(name) == kept


@given(st.text(max_size=400))
def test_no_name_at_all_gets_through_unsafe(name: str) -> None:
    kept = safe_name(name)

    assert 0 < len(kept) <= MAX_NAME
    assert not set(kept) & set('/\\<>:"|?*')
    assert not any(unicodedata.category(character).startswith("C") for character in kept)
    assert kept not in {".", ".."}
    attachment(kept).encode("latin-1")


def test_a_plain_name_needs_one_form() -> None:
    assert attachment("plot.png") == 'attachment; filename="plot.png"'


def test_other_characters_are_said_by_rfc_8187_too() -> None:
    assert attachment("März;.txt") == "attachment; filename=\"M_rz;.txt\"; filename*=UTF-8''M%C3%A4rz%3B.txt"


@pytest.mark.parametrize(
    ("given_type", "kept"),
    [
        ("image/png", "image/png"),
        ("Text/Plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("text/html\r\nx: y", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_a_media_type_has_the_form_of_one(given_type: str, kept: str) -> None:
    assert safe_media_type(given_type) == kept
