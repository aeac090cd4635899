"""The languages whose words can be brought to their stems, and the words that ask rather than say something.

Every language is searched; the setting only says whose endings are cut off, so that *calculating* finds *calculated*.
"""

from typing import Literal, get_args

Language = Literal[
    "arabic",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hungarian",
    "italian",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "none",
]
"""Those of the Snowball stemmers that tantivy carries; `none` leaves words as they are."""
LANGUAGES: tuple[Language, ...] = get_args(Language)
STOP_WORD_LANGUAGES = frozenset(
    {
        "danish",
        "dutch",
        "english",
        "finnish",
        "french",
        "german",
        "hungarian",
        "italian",
        "norwegian",
        "portuguese",
        "russian",
        "spanish",
        "swedish",
    }
)
"""Where tantivy carries a list of words that say nothing of what a text is about."""
_ENGLISH = """
about am been being both can could did do does doing done from had has have having he her here hers him his how i its me
my myself our ours own she should so some than them those through too us very was we were what when where which while
who whom whose why would you your yours
"""
QUESTION_WORDS: dict[Language, list[str]] = {"english": [str(word) for word in _ENGLISH.split()]}
"""Words of questions that the lists lack. They are rare in texts, so BM25 takes them for telling."""
