"""What was found, as the tool `rag` hands it on: text for the model, data for programs, sources for citations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from shared.tools_contract import JsonObject, Source
from tools_api.rag.tool_text import Passage, passages_text

if TYPE_CHECKING:
    from tools_api.rag.search.exact_values import ExactMatch
    from tools_api.rag.search.values import Hit

_SNIPPET = 300


def passage(hit: "Hit") -> Passage:
    """Return a hit as it is shown."""
    return Passage(citation=hit.citation, part=hit.chunks[0] + 1, headings=tuple(hit.headings), text=hit.text)


def matches_text(matches: Sequence["ExactMatch"]) -> tuple[str, int]:
    """Return matches as passages: the lines around each."""
    return passages_text(
        [
            Passage(
                citation=match.citation,
                part=None,
                headings=(),
                text="\n".join([*match.before, match.line, *match.after]),
            )
            for match in matches
        ]
    )


def locator(collection_id: str, document_id: str, page: int | None = None, place: tuple[int, int] | None = None) -> str:
    """Return the path of a document's original, with page (RFC 8118) and characters (RFC 5147) in the fragment."""
    path = f"/v1/rag/collections/{collection_id}/documents/{quote(document_id, safe='')}/content"
    marks = [f"page={page}"] if page is not None else []
    marks += [f"char={place[0]},{place[1]}"] if place else []
    return f"{path}#{'&'.join(marks)}" if marks else path


def hit_source(hit: "Hit") -> Source:
    """Return where a hit is from."""
    place = (hit.start, hit.end)
    return Source(
        title=hit.citation,
        url=locator(hit.collection, hit.document.id, hit.page, place),
        snippet=hit.text[:_SNIPPET],
        score=round(hit.score, 4),
    )


def match_source(match: "ExactMatch") -> Source:
    """Return where a match is."""
    url = locator(match.collection, match.document.id, match.page, (match.start, match.end))
    return Source(title=match.citation, url=url, snippet=match.line[:_SNIPPET])


def hit_data(hit: "Hit") -> JsonObject:
    """Return a hit for a program."""
    return {
        "citation": hit.citation,
        "text": hit.text,
        "score": round(hit.score, 4),
        "collection": hit.collection_name,
        "collection_id": hit.collection,
        "document": hit.document.name,
        "document_id": hit.document.id,
        "page": hit.page,
        "headings": list(hit.headings),
        "part": hit.chunks[0] + 1,
        "start": hit.start,
        "end": hit.end,
    }


def match_data(match: "ExactMatch") -> JsonObject:
    """Return a match for a program."""
    return {
        "citation": match.citation,
        "text": match.text,
        "line": match.line,
        "collection_id": match.collection,
        "document": match.document.name,
        "document_id": match.document.id,
        "page": match.page,
        "start": match.start,
        "end": match.end,
    }
