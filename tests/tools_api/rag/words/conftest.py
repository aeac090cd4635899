from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.tools_api.rag.ram import ram_folder
from tools_api.rag.index.words_view import WordsRow, WordsView
from tools_api.rag.words import Language, words_opener

Open = Callable[..., WordsView]


def row(
    chunk_id: int, text: str, *, name: str = "a.txt", title: str | None = None, headings: tuple[str, ...] = ()
) -> WordsRow:
    return WordsRow(chunk_id=chunk_id, text=text, headings=headings, title=title, name=name)


@pytest.fixture
def folder() -> Generator[Path]:
    with ram_folder() as folder:
        yield folder / "collection" / "words"


@pytest.fixture
def open_words(folder: Path) -> Generator[Open]:
    """Opens the words in the test's folder, and closes them at its end."""
    opened: list[WordsView] = []

    def open_one(language: Language = "english", idle_s: float = 60.0) -> WordsView:
        opened.append(words_opener(language, idle_s=idle_s)(folder))
        return opened[-1]

    yield open_one
    for view in opened:
        view.close()


@pytest.fixture
def words(open_words: Open) -> WordsView:
    return open_words()
