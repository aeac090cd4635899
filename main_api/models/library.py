"""The GGUF files of this installation: what there is, pulling new ones, removing old ones. Knows no web framework.

Files live in `<data>/models`; the bundled model is part of the product and stays. Naming is the local backend's.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from main_api.backends.local_models import LocalModel, scan
from main_api.models.download import OnProgress, download
from main_api.models.source import RemoteFile, expecting, find_files, read_sha256
from shared.errors import Conflict, InvalidRequest, NotFound

_PREFIX = "local/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a removal freed; `complete` is False for an unfinished pull."""

    name: str
    size_bytes: int
    complete: bool


class ModelLibrary:
    """The folder of models. `huggingface_endpoint` is where names are looked up; `pause_s` see `download`."""

    def __init__(
        self, folder: Path, *, session: aiohttp.ClientSession, huggingface_endpoint: str, pause_s: float = 0.5
    ) -> None:
        self._folder = folder
        self._session = session
        self._endpoint = huggingface_endpoint
        self._pause_s = pause_s

    async def models(self) -> list[LocalModel]:
        """List the models, the bundled one last."""
        found = await asyncio.to_thread(scan, self._folder, {})
        return list({model.path: model for model in found.values()}.values())  # some have two names

    async def pull(self, name: str, *, sha256: str | None = None, on_progress: OnProgress | None = None) -> LocalModel:
        """Download what `name` means (see `source.py`) and return it. Pulling again goes on where it stopped.

        `sha256` (64 hex digits) is what the file must have. Raises `Conflict` when another file of that name is there,
        `StorageFull`, `ChecksumMismatch`, and the errors of the hub and the connection.
        """
        wanted = None if sha256 is None else read_sha256(sha256)  # before anyone is asked
        files = await find_files(self._session, name, endpoint=self._endpoint)
        if wanted is not None:
            files = expecting(files, wanted)
        for file, target in await asyncio.to_thread(self._to_download, files, wanted is not None):
            await download(self._session, file, target, on_progress=on_progress, pause_s=self._pause_s)
        pulled = self._folder / files[0].name
        return next(model for model in await self.models() if model.path == pulled)

    async def remove(self, name: str) -> Removed:
        """Delete a model's files, or what an unfinished pull of it left. The bundled model is refused."""
        wanted = name.strip().removeprefix(_PREFIX).removesuffix(".gguf")
        model = (await asyncio.to_thread(scan, self._folder, {})).get(wanted)
        if model is None:
            return await asyncio.to_thread(self._remove_unfinished, wanted)
        if model.is_bundled:
            raise InvalidRequest("The bundled model is part of the product and cannot be removed.")
        return await asyncio.to_thread(_delete, model)

    def _to_download(self, files: Sequence[RemoteFile], verify: bool) -> list[tuple[RemoteFile, Path]]:
        missing: list[tuple[RemoteFile, Path]] = []
        for file in files:
            target = self._folder / file.name
            if not target.exists():
                missing.append((file, target))
            elif file.size not in (None, target.stat().st_size) or (verify and _sha256(target) != file.sha256):
                raise Conflict(f"Another {file.name} is there already; remove it first.")
        return missing

    def _remove_unfinished(self, name: str) -> Removed:
        parts = [part for part in self._folder.glob("*.gguf.part") if part.name.removesuffix(".gguf.part") == name]
        if not parts:
            raise NotFound(f"There is no model `{name}` to remove; `twinport models list` shows what there is.")
        size = parts[0].stat().st_size
        parts[0].unlink()
        parts[0].with_name(parts[0].name + ".json").unlink(missing_ok=True)
        return Removed(name=name, size_bytes=size, complete=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _delete(model: LocalModel) -> Removed:
    for path in model.files:
        path.unlink(missing_ok=True)
    return Removed(name=model.name, size_bytes=model.size_bytes, complete=True)
