"""A local server that offers files the way Hugging Face does, and misbehaves as a test tells it."""

import asyncio
import hashlib
import random
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

REPOSITORY = "acme/tiny-GGUF"


def gguf(size: int = 3_000_000, seed: int = 1) -> bytes:
    """Make a GGUF file that names its architecture and holds noise."""
    key, value = b"general.architecture", b"llama"
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    header += struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(value)) + value
    return header + random.Random(seed).randbytes(size - len(header))


class FileServer:
    """`files` are by path in the repository. `drop_after` cuts that many connections after that many bytes each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"tiny-Q4_K_M.gguf": gguf()}
        self.etags: dict[str, str] = {}
        self.checksums: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.drops: list[int] = []
        self.ranges = True
        self.redirects = 1
        self.redirect_to: str | None = None
        self.declared: int | None = None
        self.chunked = False
        self.pause_after: int | None = None
        self.tree_status = 200
        self.page_size = 1000
        self.requests: list[web.Request] = []
        self.url = ""

    def ranges_asked(self) -> list[str | None]:
        return [request.headers.get("range") for request in self.requests if request.path.startswith("/cdn/")]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["FileServer"]:
        app = web.Application()
        app.router.add_get("/api/models/{repo:[^/]+/[^/]+}/tree/{revision}", self._tree)
        app.router.add_get("/{repo:[^/]+/[^/]+}/resolve/{revision}/{path:.+}", self._resolve)
        app.router.add_get("/cdn/{hops}/{path:.+}", self._serve)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        self.url = str(server.make_url("")).rstrip("/")
        try:
            yield self
        finally:
            await server.close()

    def address(self, path: str) -> str:
        return f"{self.url}/cdn/0/{path}"

    async def _tree(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if self.tree_status != 200 or request.match_info["repo"] != REPOSITORY:
            return web.json_response({"error": "no"}, status=self.tree_status if self.tree_status != 200 else 404)
        entries = [{"type": "directory", "path": "sub", "oid": "0"}, *(self._entry(path) for path in self.files)]
        start = int(request.query.get("cursor", "0"))
        headers: dict[str, str] = {}
        if start + self.page_size < len(entries):
            following = f"{self.url}{request.path}?recursive=true&cursor={start + self.page_size}"
            headers["link"] = f'<{following}>; rel="next"'
        return web.json_response(entries[start : start + self.page_size], headers=headers)

    def _entry(self, path: str) -> dict[str, Any]:
        body = self.files[path]
        size = self.sizes.get(path, len(body))
        lfs = {"oid": self._checksum(path), "size": size, "pointerSize": 132}
        return {"type": "file", "path": path, "oid": "abc", "size": size, "lfs": lfs}

    def _checksum(self, path: str) -> str:
        return self.checksums.get(path) or hashlib.sha256(self.files[path]).hexdigest()

    async def _resolve(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        path = request.match_info["path"]
        if path not in self.files:
            return web.Response(status=404)
        target = self.redirect_to or f"/cdn/{self.redirects - 1}/{path}"
        return web.Response(status=302, headers={"location": target, "x-linked-etag": f'"{self._checksum(path)}"'})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        hops, path = int(request.match_info["hops"]), request.match_info["path"]
        if hops:
            return web.Response(status=307, headers={"location": f"/cdn/{hops - 1}/{path}"})
        if path not in self.files:
            return web.Response(status=404)
        return await self._send(request, self.files[path], self.etags.get(path, f'"{self._checksum(path)[:16]}"'))

    async def _send(self, request: web.Request, body: bytes, etag: str) -> web.StreamResponse:
        start = 0
        asked = request.headers.get("range")
        if asked and self.ranges and request.headers.get("if-range") == etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                return web.Response(status=416)
        response = web.StreamResponse(status=206 if start else 200, headers={"etag": etag})
        if start:
            response.headers["content-range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if not self.chunked:
            response.content_length = self.declared or len(body) - start
        await response.prepare(request)
        limit = self.drops.pop(0) if self.drops else None
        await self._write(request, response, body[start:][:limit])
        return response

    async def _write(self, request: web.Request, response: web.StreamResponse, body: bytes) -> None:
        for at in range(0, len(body), 65_536):
            await response.write(body[at : at + 65_536])
            if self.pause_after is not None and at >= self.pause_after:
                await asyncio.Event().wait()
        if (response.content_length or 0) > len(body) and request.transport:
            request.transport.close()
