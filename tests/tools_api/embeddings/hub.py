"""A hub of models on loopback that speaks as much of Hugging Face's protocol as its client asks."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

_REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves the folders below `root` by their names, as `organisation/model`. `asked` has the paths of requests."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = ""
        self.asked: list[str] = []
        self.breaks_off: set[str] = set()
        """Files that are answered with an error."""

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/api/models/{organisation}/{name}", self._about)
        application.router.add_get("/api/models/{organisation}/{name}/revision/{revision}", self._about)
        application.router.add_get("/api/models/{organisation}/{name}/tree/{revision}", self._tree)
        application.router.add_get("/{organisation}/{name}/resolve/{revision}/{file:.+}", self._file)
        return application

    def _files(self, request: web.Request) -> tuple[str, dict[str, Path]]:
        self.asked.append(request.path)
        full = f"{request.match_info['organisation']}/{request.match_info['name']}"
        folder = self._root / full
        if not folder.is_dir():
            raise web.HTTPNotFound(headers={"X-Error-Code": "RepoNotFound"})
        return full, {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}

    async def _about(self, request: web.Request) -> web.Response:
        full, files = self._files(request)
        siblings = [{"rfilename": name} for name in files]
        return web.json_response({"id": full, "modelId": full, "sha": _REVISION, "siblings": siblings, "tags": []})

    async def _tree(self, request: web.Request) -> web.Response:
        _, files = self._files(request)
        entries = [
            {
                "type": "file",
                "path": name,
                "size": file.stat().st_size,
                "oid": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
            for name, file in files.items()
        ]
        return web.json_response(entries)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        _, files = self._files(request)
        name = request.match_info["file"]
        if name in self.breaks_off:
            raise web.HTTPServiceUnavailable
        if name not in files:
            raise web.HTTPNotFound(headers={"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(files[name].read_bytes()).hexdigest()
        return web.FileResponse(files[name], headers={"X-Repo-Commit": _REVISION, "X-Linked-ETag": f'"{etag}"'})


@asynccontextmanager
async def running_hub(root: Path) -> AsyncGenerator[Hub]:
    hub = Hub(root)
    runner = web.AppRunner(hub.application())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield hub
    finally:
        await runner.cleanup()
