"""What handlers of retrieval ask for: for whom the service calls, and the parts once they are open.

Nothing of the parts is imported here but their types, so that the process starts without a database or an index.
"""

from typing import Annotated

from fastapi import Depends, Header, Path, Request

from shared.errors import InvalidRequest
from tools_api.invoke.deps import CallerDep
from tools_api.rag.collections.values import EVERYBODY
from tools_api.rag.parts import Parts
from tools_api.rag.retrieval import RagUnavailable, Retrieval
from tools_api.rag.values import MAX_PERSON, Owner

_NOT_A_PERSON = f"X-Acting-For: name one person, in 1 to {MAX_PERSON} visible characters, or leave the header out."


def owner_of(service: str, person: str | None) -> Owner:
    """Return who owns what a service makes for a person, or for itself if that is None. Raises `InvalidRequest`."""
    if person is None:
        return Owner(service)
    if (
        not 0 < len(person) <= MAX_PERSON
        or person == EVERYBODY
        or any(not letter.isprintable() or letter.isspace() for letter in person)
    ):
        raise InvalidRequest(_NOT_A_PERSON, param="X-Acting-For")
    return Owner(service, person)


async def _owner(
    request: Request,
    service: CallerDep,
    _documented: Annotated[
        str | None,
        Header(
            alias="X-Acting-For",
            description="The person for whom the service calls: what is made belongs to them, and only what is theirs "
            "or shared with them is there. Without it the service acts for itself.",
        ),
    ] = None,
) -> Owner:
    persons = request.headers.getlist("x-acting-for")
    if len(persons) > 1:
        raise InvalidRequest(_NOT_A_PERSON, param="X-Acting-For")
    return owner_of(service, _as_utf8(persons[0]) if persons else None)


def _as_utf8(header: str) -> str:
    """Read a header, which HTTP leaves as bytes, as the text that tool calls carry in JSON."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(_NOT_A_PERSON, param="X-Acting-For") from None


async def _retrieval(request: Request) -> Retrieval:
    retrieval: Retrieval | None = request.state.rag
    if retrieval is None:
        raise RagUnavailable("Retrieval is off in this process.")
    return retrieval


async def _parts(_service: CallerDep, retrieval: Annotated[Retrieval, Depends(_retrieval)]) -> Parts:
    return await retrieval.parts()


CollectionPath = Annotated[str, Path(description="The collection's id, or its name", max_length=400)]
OwnerDep = Annotated[Owner, Depends(_owner)]
RetrievalDep = Annotated[Retrieval, Depends(_retrieval)]
PartsDep = Annotated[Parts, Depends(_parts)]
"""The parts, opened. Raises `RagUnavailable` while they cannot be used."""
