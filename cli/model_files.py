"""The model files of this installation, for the command line: `ModelLibrary` with a progress bar."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from cli import terminal
from config import Settings
from main_api.backends.local_models import LocalModel
from main_api.models.download import Progress
from main_api.models.library import ModelLibrary, Removed
from shared.http_client import create_http_session

Result = TypeVar("Result")


class ModelFiles:
    """Each method does one thing with the library. Raises its errors, and `KeyboardInterrupt` on Ctrl-C."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def all(self) -> list[LocalModel]:
        return self._run(lambda library: library.models())

    def pull(self, name: str, *, sha256: str | None = None) -> LocalModel:
        """Download a model, showing a bar per file on stderr; `sha256` is what the file must have."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Bars(*columns, TimeRemainingColumn(), console=terminal.err) as bars:
            show = _FileBars(bars)
            return self._run(lambda library: library.pull(name, sha256=sha256, on_progress=show))

    def remove(self, name: str) -> Removed:
        return self._run(lambda library: library.remove(name))

    def _run(self, work: Callable[[ModelLibrary], Awaitable[Result]]) -> Result:
        return asyncio.run(self._with_library(work))

    async def _with_library(self, work: Callable[[ModelLibrary], Awaitable[Result]]) -> Result:
        async with create_http_session(read_timeout_s=60) as http:
            folder = self._settings.data_dir / "models"
            folder.mkdir(parents=True, exist_ok=True)
            endpoint = self._settings.huggingface_endpoint
            return await work(ModelLibrary(folder, session=http, huggingface_endpoint=endpoint))


class _FileBars:
    """One bar per file, made when its first bytes are reported."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.name not in self._tasks:
            self._tasks[progress.name] = self._bars.add_task(progress.name, total=progress.total)
        self._bars.update(self._tasks[progress.name], completed=progress.done, total=progress.total)
