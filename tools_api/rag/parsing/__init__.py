"""Turns files of strangers into chunks of text, in the sandbox. Knows nothing of collections and of what is stored.

Their bytes are only passed on, and what comes back is taken as hostile: JSON lines, read up to a cap, checked, never
believed. A parser that crashes, hangs or is taken over can lie about the files of its own run, which belong to one
owner, and no more.

Text is data: nothing here runs, renders or fetches what a document names. Hidden text of HTML and of Office documents
is left out; links and pictures stay as their words.
"""

from tools_api.rag.parsing.archive import ZipArchives
from tools_api.rag.parsing.open import ParsingOptions, open_parser
from tools_api.rag.parsing.parser import Parser
from tools_api.rag.parsing.values import ArchiveRefused, Bounds, Chunking, ParseInput

__all__ = [
    "ArchiveRefused",
    "Bounds",
    "Chunking",
    "ParseInput",
    "Parser",
    "ParsingOptions",
    "ZipArchives",
    "open_parser",
]
