"""The index of words beside a collection: BM25 by tantivy.

`words_opener(language)` is what a collection's index is given; everything else is inside.
"""

from tools_api.rag.words.languages import LANGUAGES, Language
from tools_api.rag.words.view import words_opener

__all__ = ["LANGUAGES", "Language", "words_opener"]
