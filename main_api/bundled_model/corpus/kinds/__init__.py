"""The kinds of requests: one module each, with the functions of `ask.Kind`.

What several of them need, or what fills a module by itself, lies beside this folder: `calculations/`, `programs/`,
`searches/`, `special_tools/`.
"""

from collections.abc import Mapping

from main_api.bundled_model.corpus.ask import Kind, KindName
from main_api.bundled_model.corpus.kinds import calculation, code, documents, slides, special, web

KINDS: Mapping[KindName, Kind] = {
    "calculation": calculation,
    "web": web,
    "documents": documents,
    "code": code,
    "slides": slides,
    "special": special,
}
