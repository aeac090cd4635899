"""What the tool `rag` does: search, exact search, reading on and listing, in words that a model can act on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidRequest
from shared.tools_contract import JsonObject, Source, ToolError
from tools_api.invoke.tool import ToolOutput
from tools_api.rag.collections.values import Collection
from tools_api.rag.parts import Parts
from tools_api.rag.tool_findings import (
    hit_data,
    hit_source,
    locator,
    match_data,
    match_source,
    matches_text,
    passage,
)
from tools_api.rag.tool_text import Passage, listed, parts_text, passages_text, quoted
from tools_api.rag.values import Filter, Owner

if TYPE_CHECKING:
    from tools_api.rag.reading.values import Named

DEFAULT_TOP_K = 5
_READ_BEFORE = 1
_READ_AFTER = 20
_LISTED_COLLECTIONS = 20
_LISTED_DOCUMENTS = 30
_NO_DOCUMENTS = (
    "There are no documents to search: none was uploaded yet, and none is shared. Say so; do not make up an answer."
)


class Actions:
    """One call, for one person."""

    def __init__(self, parts: Parts, owner: Owner) -> None:
        self._parts = parts
        self._owner = owner

    async def run(self, arguments: JsonObject) -> ToolOutput:
        """Do what the arguments say; they fit the tool's schema. Raises what the parts raise."""
        everything = await self._parts.access.visible(self._owner)
        if not everything:
            return ToolOutput(content=_NO_DOCUMENTS, data={"results": []})
        collections = _chosen(everything, arguments.get("collection"))
        if isinstance(collections, ToolError):
            return ToolOutput(error=collections)
        match arguments.get("action", "search"):
            case "grep":
                return await self._grep(collections, arguments)
            case "read":
                return await self._read(collections, arguments)
            case "list":
                return await self._list(collections)
            case _:
                return await self._search(collections, arguments)

    async def _search(self, collections: Sequence[Collection], arguments: JsonObject) -> ToolOutput:
        from tools_api.rag.search.values import SearchQuery

        words = str(arguments["query"])
        if not words.strip():
            raise InvalidRequest("The argument 'query' is empty: say what to look for, in a question or a few words.")
        query = SearchQuery(
            text=words,
            top_k=int(arguments.get("top_k", DEFAULT_TOP_K)),
            where=await self._where(collections, arguments),
        )
        found = await self._parts.questions.search_in(collections, query)
        if not found.hits:
            notes = [*found.notes, *await self._unfinished(collections)]
            return ToolOutput(content=_with_notes(_nothing(words, collections), notes), data={"results": []})
        text, shown = passages_text([passage(hit) for hit in found.hits])
        return ToolOutput(
            content=_with_notes(text, found.notes),
            data={"results": [hit_data(hit) for hit in found.hits], "mode": found.mode},
            sources=tuple(map(hit_source, found.hits[:shown])),
        )

    async def _grep(self, collections: Sequence[Collection], arguments: JsonObject) -> ToolOutput:
        from tools_api.rag.search.exact_values import ExactQuery

        expression = arguments.get("pattern")  # some models fill in every argument, this one with ""
        pattern = expression or str(arguments["query"])
        if not pattern:
            raise InvalidRequest("The argument 'query' is empty: give the exact text to find.")
        query = ExactQuery(
            pattern=pattern,
            regex=bool(expression),
            ignore_case=True,
            where=await self._where(collections, arguments),
            limit=int(arguments.get("top_k", 2 * DEFAULT_TOP_K)),
        )
        found = await self._parts.questions.grep_in(collections, query)
        matches = found.answer.matches
        if not matches:
            notes = ["Not everything could be looked through in time."] if found.answer.partial else []
            text = (
                f"{quoted(pattern)} does not occur in {_where_looked(collections)}. To find passages by meaning, call "
            )
            text += "again without action."
            notes += await self._unfinished(collections)
            return ToolOutput(content=_with_notes(text, notes), data={"results": []})
        more = ["There are more matches; ask for something longer to narrow it down."] if found.answer.partial else []
        text, shown = matches_text(matches)
        return ToolOutput(
            content=_with_notes(text, more),
            data={"results": [match_data(match) for match in matches]},
            sources=tuple(map(match_source, matches[:shown])),
        )

    async def _read(self, collections: Sequence[Collection], arguments: JsonObject) -> ToolOutput:
        named = await self._named(collections, str(arguments.get("document") or arguments["query"]))
        around = int(arguments.get("around", 1)) - 1
        collection = next(one for one in collections if one.id == named.collection_id)
        read = await self._parts.reading.stretch(
            collection, named, around=around, before=_READ_BEFORE if around else 0, after=_READ_AFTER
        )
        if not read.passages:
            raise InvalidRequest(f"{named.name} has {read.chunks} parts; ask for one of them with 'around'.")
        parts = [
            Passage(citation=named.name, part=one.chunk.ordinal + 1, headings=one.chunk.headings, text=one.chunk.text)
            for one in read.passages
        ]
        text, shown = parts_text(named.name, parts, of=read.chunks)
        return ToolOutput(
            content=text,
            data={
                "document": named.name,
                "parts": [one.chunk.text for one in read.passages[:shown]],
                "of": read.chunks,
            },
            sources=(Source(title=named.name, url=locator(collection.id, named.indexed_id)),),
        )

    async def _list(self, collections: Sequence[Collection]) -> ToolOutput:
        lines: list[str] = []
        for collection in collections[:_LISTED_COLLECTIONS]:
            documents = await self._parts.reading.names_in(collection, limit=_LISTED_DOCUMENTS + 1)
            about = f" ({collection.description[:200]})" if collection.description else ""
            more = " and more" if len(documents) > _LISTED_DOCUMENTS else ""
            names = ", ".join(document.name for document in documents[:_LISTED_DOCUMENTS])
            lines.append(f"{collection.name}{about}: {names or 'no documents that can be searched yet'}{more}")
        if len(collections) > _LISTED_COLLECTIONS:
            lines.append(f"and {len(collections) - _LISTED_COLLECTIONS} more collections")
        return ToolOutput(content="\n".join(lines), data={"collections": [one.name for one in collections]})

    async def _unfinished(self, collections: Sequence[Collection]) -> list[str]:
        """Say that there is more to come, if there is."""
        number = await self._parts.reading.unfinished(collections)
        if not number:
            return []
        return [f"{number} more document{'s are' if number > 1 else ' is'} still being read: ask again in a minute."]

    async def _where(self, collections: Sequence[Collection], arguments: JsonObject) -> Filter | None:
        """Return the condition of the document that the call names, if any."""
        if not (name := arguments.get("document")):
            return None
        return {"document_id": (await self._named(collections, str(name))).indexed_id}

    async def _named(self, collections: Sequence[Collection], name: str) -> "Named":
        """Return the document that a model means. Raises `InvalidRequest`, which says what there is."""
        named = await self._parts.reading.called(collections, name)
        if len({(one.collection_id, one.indexed_id) for one in named}) == 1:
            return named[0]
        if named:
            raise InvalidRequest(f"Several documents are called {quoted(name)}; name the collection too.")
        if not name.strip():
            raise InvalidRequest("The argument 'document' is missing: name the document to read.")
        raise InvalidRequest(
            f"There is no document {quoted(name)} in {_where_looked(collections)}. "
            'To see what there is: {"action": "list", "query": ""}.'
        )


def _chosen(everything: Sequence[Collection], name: Any) -> Sequence[Collection] | ToolError:
    """Return the collections that a model means by a name, in any case, or an id; all if it names none."""
    if not name:
        return everything
    wanted = str(name).strip()
    exact = [one for one in everything if wanted in {one.name, one.id}]
    if chosen := exact or [one for one in everything if one.name.casefold() == wanted.casefold()]:
        return chosen
    return ToolError(
        type="collection_not_found",
        message=f"There is no collection {quoted(wanted)}. There are: {listed([one.name for one in everything])}. "
        "Leave `collection` out to search all of them.",
    )


def _nothing(words: str, collections: Sequence[Collection]) -> str:
    return (
        f"No passage in {_where_looked(collections)} matches {quoted(words)}. Try other words, or say that the "
        "documents do not tell."
    )


def _where_looked(collections: Sequence[Collection]) -> str:
    names = [one.name for one in collections]
    return f"the collection {names[0]}" if len(names) == 1 else f"the collections {listed(names, most=5)}"


def _with_notes(text: str, notes: Sequence[str]) -> str:
    return "\n\n".join([text, *(f"({note})" for note in notes)])
