"""Uploads and jobs as bars in the terminal, one below the other."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli import terminal
from cli.api_client import CallFailed, JsonObject
from cli.rag_client import ENDED, RagClient, batches
from cli.rag_files import Found

_UPLOAD_BYTES = 64 * 2**20
_UPLOAD_FILES = 200
_REFUSES_THE_FILES = frozenset({400, 413, 415, 422})
_ATTEMPTS = 5
_PAUSE_S = 1.0


def bars() -> Progress:
    """Make the display; where stderr is no terminal it says nothing until the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[said]}", style="dim"), console=terminal.err)


async def upload(
    client: RagClient, collection: str, files: Sequence[Found], progress: Progress, refused: list[JsonObject]
) -> AsyncGenerator[JsonObject, None]:
    """Upload files in portions; yield what the server says of each. `refused` gets what cannot be read here or is not
    taken there; the others are uploaded all the same. Raises `CallFailed` if it would go no better with the others."""
    total = sum(file.size for file in files)
    bar = progress.add_task("uploading", total=max(1, total), said=f"{len(files)} files")
    for batch in batches(files, most_bytes=_UPLOAD_BYTES, most_files=_UPLOAD_FILES):
        if readable := [file for file in batch if _opens(file, refused)]:
            try:
                yield await client.upload(collection, readable)
            except CallFailed as failure:
                if failure.status not in _REFUSES_THE_FILES:
                    raise
                more = f" and {len(readable) - 1} more" if len(readable) > 1 else ""
                refused.append(_failure(f"{readable[0].name}{more}", str(failure)))
        progress.advance(bar, sum(file.size for file in batch))
    progress.update(bar, completed=max(1, total))


def _opens(file: Found, refused: list[JsonObject]) -> bool:
    """Say whether a file can be read; why not is told in `refused`."""
    try:
        file.path.open("rb").close()
    except OSError as error:
        refused.append(_failure(file.name, error.strerror or "It cannot be read."))
        return False
    return True


def _failure(name: str, message: str) -> JsonObject:
    return {"name": name, "error": {"message": message}}


async def watch_all(client: RagClient, jobs: Sequence[str], progress: Progress) -> list[JsonObject]:
    """Show jobs until they have ended; returns how each of them did."""
    tasks = [progress.add_task(job, total=100, said="waiting") for job in jobs]
    return await asyncio.gather(*(_watch(client, job, progress, bar) for job, bar in zip(jobs, tasks, strict=True)))


async def _watch(client: RagClient, job: str, progress: Progress, bar: TaskID) -> JsonObject:
    """Follow one job. A connection that ends before the job does is made again, a few times."""
    for attempt in range(_ATTEMPTS):
        try:
            async with aclosing(client.watch(job)) as states:
                async for state in states:
                    _show(progress, bar, state)
                    if state["state"] in ENDED:
                        return state
        except CallFailed as failure:
            if failure.status or attempt == _ATTEMPTS - 1:
                raise
        await asyncio.sleep(_PAUSE_S)
    raise CallFailed(f"The server ended the connection before the job {job} was over.")


def _show(progress: Progress, bar: TaskID, state: JsonObject) -> None:
    progress.update(bar, completed=100 if state["state"] == "finished" else state.get("percent") or 0, said=said(state))


def said(state: JsonObject) -> str:
    """Return in a few words how a job stands."""
    counts = cast("dict[str, int]", state.get("documents") or {})
    told = [f"{number} {word}" for word, number in counts.items() if number]
    if state.get("unchanged"):
        told.append(f"{state['unchanged']} unchanged")
    if state.get("note"):
        told.append(str(state["note"]))
    return f"{state['state']}: {', '.join(told)}" if told else str(state["state"])
