"""What people may do with documents here: what the tools API lets their word do, shown with names of accounts."""

from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import aiohttp
import orjson

from main_api.auth.principal import Principal
from main_api.rag.call import RagCall, target_of
from main_api.rag.client import RagClient
from main_api.rag.people import People
from shared.tools_contract import JsonObject

_JSON = {"content-type": "application/json"}


class RagService:
    """Passes calls on, and translates where accounts are named."""

    def __init__(self, client: RagClient, people: People) -> None:
        self._client = client
        self._people = people

    def open(self, call: RagCall) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Pass a call on and hand its answer over unread. Raises as `RagClient.open`."""
        return self._client.open(call)

    async def collection(self, call: RagCall) -> JsonObject:
        """Pass a call on whose answer is a collection; its `owner` becomes a name."""
        found = await self._client.object(call)
        return (await self._people.named([found], "owner", as_field="owner"))[0]

    async def collections(self, call: RagCall) -> JsonObject:
        """Pass a call on whose answer is a list of collections."""
        found = await self._client.object(call)
        return {**found, "data": await self._people.named(_objects(found), "owner", as_field="owner")}

    async def grants(self, principal: Principal, collection: str) -> JsonObject:
        """List with whom a collection is shared, by name; grants to accounts that are gone mean nothing any more."""
        found = await self._client.object(_grants(principal, "GET", collection))
        named = await self._people.named(_objects(found), "person", as_field="user")
        return {**found, "data": [grant for grant in named if grant["user"] is not None], "last_id": None}

    async def share(self, principal: Principal, collection: str, *, user: str, role: str) -> JsonObject:
        """Share a collection with somebody, or with everybody (`*`). Raises `UserNotFound` and as `RagClient.open`."""
        word = await self._people.word_for(user, asked_by=principal)
        body = orjson.dumps({"person": word, "role": role})
        found = await self._client.object(_grants(principal, "POST", collection, body=body))
        return (await self._people.named([found], "person", as_field="user"))[0]

    async def unshare(self, principal: Principal, collection: str, *, user: str) -> JsonObject:
        """Take a collection away from somebody, at once. Raises as `share`."""
        word = await self._people.word_for(user, asked_by=principal)
        await self._client.object(_grants(principal, "DELETE", collection, word))
        return {"object": "grant.deleted", "user": user, "deleted": True}


def _grants(principal: Principal, method: str, collection: str, *more: str, body: bytes | None = None) -> RagCall:
    target = target_of(["collections", collection, "grants", *more])
    headers = _JSON if body is not None else {}
    return RagCall(method=method, target=target, person=principal.person, headers=headers, body=body)


def _objects(found: JsonObject) -> list[JsonObject]:
    data: Any = found.get("data")
    return cast("list[JsonObject]", data) if isinstance(data, list) else []
