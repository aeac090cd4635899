"""`/v1/rag` of the main API as `twinport rag` uses it."""

import json
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import ExitStack
from typing import Any, cast
from urllib.parse import quote, urlencode

import aiohttp

from cli.api_client import ApiClient, CallFailed, JsonObject, message_in, server_events
from cli.rag_files import Found

ENDED = frozenset({"finished", "failed", "cancelled"})
"""The states of a job that is over."""

_PREFIX = "/v1/rag"
_PAGE = 100


class RagClient(ApiClient):
    """One server and one identity, with documents. All raise `CallFailed`."""

    async def status(self) -> JsonObject:
        return await self.json("GET", f"{_PREFIX}/status")

    async def collections(self) -> list[JsonObject]:
        return await self._all("/collections")

    async def collection(self, name: str, *, make: bool = False) -> JsonObject:
        """Return a collection by name or id; with `make` it is made if there is none of that name."""
        try:
            return await self.json("GET", _path("collections", name))
        except CallFailed as failure:
            if failure.status != 404 or not make:
                raise
        return await self.json("POST", f"{_PREFIX}/collections", json={"name": name})

    async def delete_collection(self, name: str) -> None:
        await self.json("DELETE", _path("collections", name))

    async def upload(self, collection: str, files: Sequence[Found]) -> JsonObject:
        """Upload files; returns the `job` that reads them and what became of each of `documents`."""
        with ExitStack() as stack:
            form = aiohttp.FormData(quote_fields=False)
            for file in files:
                # by its number, or aiohttp would put the path into a header, and fail where that is no UTF-8
                opened = stack.enter_context(os.fdopen(os.open(file.path, os.O_RDONLY), "rb"))
                form.add_field("file", opened, filename=_header_safe(file.name))
            return await self.json("POST", _path("collections", collection, "documents"), data=form)

    async def documents(self, collection: str, *, state: str | None = None) -> list[JsonObject]:
        return await self._all(f"/collections/{quote(collection, safe='')}/documents", state=state)

    async def delete_document(self, collection: str, document: str) -> None:
        await self.json("DELETE", _path("collections", collection, "documents", document))

    async def jobs(self) -> list[JsonObject]:
        """Return the newest jobs."""
        return _data(await self.json("GET", f"{_PREFIX}/jobs?limit={_PAGE}"))

    async def cancel(self, job: str) -> JsonObject:
        return await self.json("POST", _path("jobs", job, "cancel"))

    async def watch(self, job: str) -> AsyncGenerator[JsonObject, None]:
        """Yield a job as it stands after every change, until it has ended or the connection has."""
        patience = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with self.request("GET", _path("jobs", job, "events"), timeout=patience) as answer:
            async for event in server_events(answer):
                value: JsonObject = json.loads(event.data)
                if event.name == "error":
                    raise CallFailed(message_in(value.get("error")) or "The server failed.")
                if event.name == "job":
                    yield value

    async def search(self, query: str, *, collections: Sequence[str], top_k: int) -> JsonObject:
        body: JsonObject = {"query": query, "top_k": top_k}
        if collections:
            body["collections"] = list(collections)
        return await self.json("POST", f"{_PREFIX}/search", json=body)

    async def export(self, collection: str) -> AsyncGenerator[bytes, None]:
        """Yield the passages of a collection as JSON lines, in pieces."""
        patience = aiohttp.ClientTimeout(total=None, sock_read=600)
        async with self.request("GET", _path("collections", collection, "export"), timeout=patience) as answer:
            async for piece in answer.content.iter_chunked(65_536):
                yield piece

    async def grants(self, collection: str) -> list[JsonObject]:
        return _data(await self.json("GET", _path("collections", collection, "grants")))

    async def share(self, collection: str, user: str, role: str) -> None:
        await self.json("POST", _path("collections", collection, "grants"), json={"user": user, "role": role})

    async def unshare(self, collection: str, user: str) -> None:
        await self.json("DELETE", _path("collections", collection, "grants", user))

    async def _all(self, path: str, **query: str | None) -> list[JsonObject]:
        """Read a list to its end, page by page."""
        found: list[JsonObject] = []
        asked: dict[str, Any] = {name: value for name, value in query.items() if value is not None}
        while True:
            page = await self.json("GET", f"{_PREFIX}{path}?{urlencode({**asked, 'limit': _PAGE})}")
            found += _data(page)
            if not page.get("has_more") or not page.get("last_id"):
                return found
            asked["after"] = page["last_id"]


def _path(*segments: str) -> str:
    return "/".join((_PREFIX, *(quote(segment, safe="") for segment in segments)))


def _data(page: JsonObject) -> list[JsonObject]:
    return cast("list[JsonObject]", page.get("data") or [])


def _header_safe(name: str) -> str:
    """Return a name as browsers write it into a form: quotes and line ends percent-encoded, the rest as it is."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def batches(files: Iterable[Found], *, most_bytes: int, most_files: int) -> Iterable[list[Found]]:
    """Cut a list of files into uploads; one that is larger than `most_bytes` goes alone."""
    batch: list[Found] = []
    size = 0
    for file in files:
        if batch and (size + file.size > most_bytes or len(batch) >= most_files):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
