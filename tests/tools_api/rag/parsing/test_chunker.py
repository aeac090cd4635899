"""Chunks: their size as the model counts it, their places in the text, and what they keep together."""

from pathlib import Path
from typing import Any

import pytest
from blocks import Block
from chunker import Chunker
from hypothesis import given, settings
from hypothesis import strategies as st
from parse_markdown import parse_markdown
from tokens import Counter, WordCounter, make_counter

from tests.tools_api.rag.parsing.conftest import TOKENIZER
from tools_api.rag.passages import embedded_text

COUNTER = make_counter(str(TOKENIZER))


def chunked(blocks: list[Block], *, limit: int = 128, title: str | None = None, counter: Counter = COUNTER) -> Any:
    chunker = Chunker(counter, limit=limit, title=title)
    return chunker.title, list(chunker.chunks(blocks))


def must_hold(blocks: list[Block], title: str | None, chunks: list[Any], limit: int, counter: Counter) -> None:
    """Check what is promised of all chunks."""
    position = 0
    for text, start, end, page, page_end, headings in chunks:
        assert end - start == len(text)
        assert 0 <= start - position <= 2
        assert text.strip()
        assert (page is None) == (page_end is None)
        assert counter.count(embedded_text(title, headings, text)) + counter.special <= limit
        position = end
    visible = [block for block in blocks if not block.silent]
    kept = "".join("".join(chunk[0] for chunk in chunks).split())
    wanted = "".join("".join(block.text for block in visible).split())
    if not any(block.kind == "table" for block in visible):
        assert kept == wanted  # nothing is lost and nothing is there twice but white space and tables' headers
    else:
        assert len(kept) >= len(wanted)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\x1c\x1d\x1e\x1f\x85"), min_size=1, max_size=60)
TEXT = st.lists(
    st.one_of(WORDS, st.sampled_from(["The pump stops. ", "x" * 900, "\n", "é" * 40, "日本語の文。"])), max_size=30
)
BLOCK = st.builds(
    lambda kind, parts, level, page: Block(kind, "".join(parts).strip() or "text", level=level, page=page),
    st.sampled_from(["text", "list", "code", "table"]),
    TEXT,
    st.just(0),
    st.none(),
)
HEADING = st.builds(
    lambda text, level, silent: Block("heading", " ".join(text.split()) or "Head", level=level, silent=silent),
    WORDS,
    st.integers(1, 6),
    st.booleans(),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(BLOCK, HEADING), max_size=12), st.one_of(st.none(), WORDS), st.integers(40, 200))
def test_every_chunk_fits_and_stands_where_it_says(blocks: list[Block], title: str | None, limit: int) -> None:
    shown, chunks = chunked(blocks, limit=limit, title=title)
    must_hold(blocks, shown, chunks, limit, COUNTER)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.one_of(BLOCK, HEADING), max_size=12), st.integers(40, 200))
def test_it_holds_without_a_tokenizer_too(blocks: list[Block], limit: int) -> None:
    shown, chunks = chunked(blocks, limit=limit, counter=Counter())
    must_hold(blocks, shown, chunks, limit, Counter())


def test_a_word_counter_counts_exactly_as_the_tokenizer(tokenizer: Path) -> None:
    from tokenizers import Tokenizer

    exact: Any = Tokenizer.from_file(str(tokenizer))
    exact.no_truncation()
    exact.no_padding()
    assert isinstance(COUNTER, WordCounter)
    for text in (
        Path("README.md").read_text(encoding="utf-8"),
        "snake_case camelCase HTTPServer 3.14159 don't co-operate https://a.example/b?c=d",
        "Ärzte naïve cafe\u0301 日本語 и русский ﬁne ½ " + "x" * 150,
    ):
        assert COUNTER.count(text) == len(exact.encode(text, add_special_tokens=False).ids)


def test_a_heading_leads_its_section_and_is_said_once_where_it_is_embedded() -> None:
    blocks = [Block("heading", "Pumps", 1), Block("heading", "Oil", 2), Block("text", "Change it yearly. " * 40)]
    _, chunks = chunked(blocks, title="Manual")
    assert len(chunks) > 1
    assert chunks[0][0].startswith("Pumps\n\nOil\n\nChange it yearly.")
    assert [chunk[5] for chunk in chunks] == [("Pumps", "Oil")] * len(chunks)
    assert embedded_text("Manual", chunks[0][5], chunks[0][0]).startswith("Manual\nPumps\n\nOil\n\nChange")
    assert embedded_text("Manual", chunks[1][5], chunks[1][0]).startswith("Manual > Pumps > Oil\nChange")


def test_rows_of_a_long_table_repeat_its_header() -> None:
    rows = "\n".join(f"{number} | part {number} | {number * 3} EUR" for number in range(60))
    _, chunks = chunked([Block("table", f"No | Name | Price\n{rows}", header="No | Name | Price")])
    assert len(chunks) > 3
    assert all(chunk[0].startswith("No | Name | Price\n") for chunk in chunks)
    assert sum(chunk[0].count("EUR") for chunk in chunks) == 60
    assert all(chunk[0].endswith("EUR") for chunk in chunks)


def test_tiny_sections_share_a_chunk_and_large_ones_do_not() -> None:
    tiny = [part for n in range(8) for part in (Block("heading", f"Term {n}", 2), Block("text", f"Meaning {n}."))]
    _, chunks = chunked([Block("heading", "Glossary", 1), *tiny])
    assert len(chunks) < 4
    assert all(chunk[5] == ("Glossary",) for chunk in chunks if chunk[0].count("Term") > 1)
    large = [part for n in range(3) for part in (Block("heading", f"Part {n}", 1), Block("text", "word " * 60))]
    assert [chunk[5] for chunk in chunked(large)[1]] == [("Part 0",), ("Part 1",), ("Part 2",)]


def test_sentences_stay_whole_where_a_paragraph_is_cut() -> None:
    _, chunks = chunked([Block("text", " ".join(f"Sentence number {n} says something." for n in range(80)))])
    assert len(chunks) > 3
    assert all(chunk[0].startswith("Sentence") and chunk[0].endswith("something.") for chunk in chunks)


def test_pages_are_the_first_and_the_last_that_a_chunk_touches() -> None:
    _, chunks = chunked([Block("text", f"On page {page}.", page=page) for page in (3, 4, 5)])
    assert [chunk[3:5] for chunk in chunks] == [(3, 5)]


@pytest.mark.parametrize(
    "text", ["x" * 200_000, "日" * 20_000, "\u0301" * 5000, "a " * 100_000, "アイウエオカキクケコ" * 300]
)
def test_a_line_without_end_is_cut(text: str) -> None:
    shown, chunks = chunked([Block("text", text.strip())])
    must_hold([Block("text", text.strip())], shown, chunks, 128, COUNTER)


def test_markdown_is_cut_at_its_structure() -> None:
    content = parse_markdown(
        "---\ntitle: Handbook\nauthor: Ada\n---\n# Start ##\n\nHello ![a **cat**](http://evil.example/x.png).\n"
        "<!-- hidden -->\n\n## Steps\n\n1. one\n2. two\n\n   still two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```sh\n# no heading\n```\n\nUnder\n-----\n\nend <script>alert(1)</script>"
    )
    assert content.title == "Handbook"
    assert content.metadata == {"author": "Ada"}
    assert [(block.kind, block.text) for block in content.blocks] == [
        ("heading", "Start"),
        ("text", "Hello a **cat**."),
        ("heading", "Steps"),
        ("list", "1. one\n2. two\n\n   still two"),
        ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("code", "```sh\n# no heading\n```"),
        ("heading", "Under"),
        ("text", "end"),
    ]
