"""The part of `/v1/rag` that `twinport rag` uses, on the small server of `conftest.py`."""

import asyncio
import json
from typing import Any

from aiohttp import web

HIT = {
    "citation": "handbook.pdf, p. 12",
    "score": 0.8312,
    "text": "People log in with a password.\x1b[2J\nThen they are authenticated by a token.",
    "headings": ["Security", "Login"],
    "collection": {"id": "col_1", "name": "handbook"},
    "document": {"id": "doc_1", "name": "handbook.pdf"},
    "page": 12,
}


class FakeRag:
    """Collections by name, uploads as they came, and jobs that end when a test lets them."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, Any]] = {}
        self.uploads: list[list[tuple[str, bytes]]] = []
        self.failing: dict[str, str] = {}
        self.hits: list[dict[str, Any]] = [HIT]
        self.searches: list[dict[str, Any]] = []
        self.grants: dict[str, str] = {}
        self.deleted: list[str] = []
        self.cancelled: list[str] = []
        self.endless = False
        self.breaks = 0
        """How many streams of events break off before their job has ended."""
        self.dies_in_export = False
        self.refuses_uploads_with: int | None = None
        """The status of every upload that has a file called `…big…`."""

    def routes(self, app: web.Application) -> None:
        base = "/v1/rag"
        one = f"{base}/collections/{{c}}"
        app.router.add_get(f"{base}/status", self._status)
        app.router.add_get(f"{base}/collections", self._list)
        app.router.add_post(f"{base}/collections", self._make)
        app.router.add_get(one, self._get)
        app.router.add_delete(one, self._delete)
        app.router.add_post(f"{one}/documents", self._upload)
        app.router.add_get(f"{one}/documents", self._documents)
        app.router.add_delete(f"{one}/documents/{{d}}", self._delete)
        app.router.add_get(f"{one}/export", self._export)
        app.router.add_get(f"{one}/grants", self._granted)
        app.router.add_post(f"{one}/grants", self._grant)
        app.router.add_delete(f"{one}/grants/{{u}}", self._revoke)
        app.router.add_get(f"{base}/jobs", self._jobs)
        app.router.add_get(f"{base}/jobs/{{j}}/events", self._events)
        app.router.add_post(f"{base}/jobs/{{j}}/cancel", self._cancel)
        app.router.add_post(f"{base}/search", self._search)

    def add(self, name: str, **fields: Any) -> dict[str, Any]:
        documents = {"total": 3, "indexed": 2, "pending": 0, "failed": 1}
        self.collections[name] = found = {
            "id": f"col_{len(self.collections) + 1}",
            "name": name,
            "owner": "ada",
            "role": "owner",
            "documents": documents,
            "needs_reindex": False,
            **fields,
        }
        return found

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response({"encoder": {"state": "ready", "model": "all-MiniLM-L6-v2", "dimensions": 384}})

    async def _list(self, request: web.Request) -> web.Response:
        return _page(list(self.collections.values()), request)

    async def _make(self, request: web.Request) -> web.Response:
        return web.json_response(self.add((await request.json())["name"]), status=201)

    async def _get(self, request: web.Request) -> web.Response:
        wanted = request.match_info["c"]
        for one in self.collections.values():
            if wanted in {one["id"], one["name"]}:
                return web.json_response(one)
        return web.json_response({"error": {"message": f"There is no collection {wanted!r}."}}, status=404)

    async def _delete(self, request: web.Request) -> web.Response:
        self.deleted.append(request.path.removeprefix("/v1/rag/"))
        return web.json_response({"deleted": True})

    async def _upload(self, request: web.Request) -> web.Response:
        files: list[tuple[str, bytes]] = []
        async for part in await request.multipart():
            assert not isinstance(part, type(None))
            files.append((str(part.filename), bytes(await part.read())))  # type: ignore[union-attr]
        if self.refuses_uploads_with is not None and any("big" in name for name, _ in files):
            return web.json_response({"error": {"message": "That is too much."}}, status=self.refuses_uploads_with)
        self.uploads.append(files)
        documents = [
            {"id": f"doc_{name}", "name": name, "outcome": "unchanged" if name == "old.md" else "queued"}
            for name, _ in files
        ]
        return web.json_response({"job": f"job_{len(self.uploads)}", "documents": documents}, status=202)

    async def _documents(self, request: web.Request) -> web.Response:
        failed = [
            {"id": f"doc_{name}", "name": name, "state": "failed", "job": "job_1", "error": {"message": message}}
            for name, message in self.failing.items()
        ]
        if request.query.get("state") == "failed":
            other = {
                "id": "doc_x",
                "name": "elsewhere.md",
                "state": "failed",
                "job": "job_99",
                "error": {"message": "-"},
            }
            return _page([*failed, other], request)
        indexed = {"id": "doc_1", "name": "handbook.pdf", "state": "indexed", "pages": 40, "chunks": 90}
        return _page([indexed, *failed], request)

    async def _jobs(self, request: web.Request) -> web.Response:
        return _page([self._job("job_1", 40, "running"), self._job("job_0", 100, "finished")], request)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        job = request.match_info["j"]
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await _send(response, "job", self._job(job, 10, "running"))
        await _send(response, "document", {"id": "doc_1", "state": "embedding"})
        while self.endless:
            await response.write(b": ping\n\n")
            await asyncio.sleep(0.02)
        if self.breaks:
            self.breaks -= 1
            return response
        await _send(response, "job", self._job(job, 100, "finished"))
        return response

    async def _cancel(self, request: web.Request) -> web.Response:
        self.cancelled.append(request.match_info["j"])
        return web.json_response(self._job(request.match_info["j"], 40, "cancelled"))

    async def _search(self, request: web.Request) -> web.Response:
        self.searches.append(await request.json())
        notes = ["The encoder is starting; only words were searched."]
        return web.json_response({"object": "rag.search", "data": self.hits, "warming_up": True, "notes": notes})

    async def _export(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await response.prepare(request)
        await response.write(b'{"text": "one"}\n')
        if self.dies_in_export:
            assert request.transport is not None
            await asyncio.sleep(0.05)
            request.transport.abort()
        await response.write(b'{"text": "two"}\n')
        return response

    async def _granted(self, request: web.Request) -> web.Response:
        return _page([{"user": user, "role": role} for user, role in self.grants.items()], request)

    async def _grant(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["user"] == "nobody":
            return web.json_response({"error": {"message": "There is no user 'nobody'."}}, status=404)
        self.grants[body["user"]] = body["role"]
        return web.json_response(body, status=201)

    async def _revoke(self, request: web.Request) -> web.Response:
        del self.grants[request.match_info["u"]]
        return web.json_response({"deleted": True})

    def _job(self, job: str, percent: int, state: str) -> dict[str, Any]:
        counts = {"indexed": 2, "failed": len(self.failing)} if state == "finished" else {"embedding": 2}
        return {
            "id": job, "collection": "col_1", "kind": "ingest", "state": state, "percent": percent, "total": 2,
            "unchanged": 0, "documents": counts, "note": None,
        }  # fmt: skip


def _page(everything: list[Any], request: web.Request) -> web.Response:
    """Two at a time, whatever is asked for: clients have to read on."""
    after = request.query.get("after")
    start = next((place + 1 for place, one in enumerate(everything) if after and one.get("id") == after), 0)
    data = everything[start : start + 2]
    more = start + 2 < len(everything)
    return web.json_response({"data": data, "has_more": more, "last_id": data[-1].get("id") if data else None})


async def _send(response: web.StreamResponse, event: str, value: object) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps(value)}\n\n".encode())
