"""Files between a run and its workspace: what is kept for the next call, and what is handed to the caller."""

import mimetypes
from collections.abc import Sequence
from pathlib import Path

from tools_api.invoke.tool import OutputFile
from tools_api.sandbox import SandboxFile
from tools_api.sandbox.collector import plain_names, sizes_of, write_outputs

_MEDIA_TYPES = mimetypes.MimeTypes()


def keep_files(workspace: Path, files: Sequence[SandboxFile], *, most_bytes: int) -> list[str]:
    """Put the files beside those that were there, for the next call; return those that did not fit."""
    staying = sizes_of(workspace)
    for file in files:
        staying.pop(file.name, None)
    room = most_bytes - sum(staying.values())
    kept: list[SandboxFile] = []
    for file in files:
        if len(file.content) <= room:
            kept.append(file)
            room -= len(file.content)
    kept_out = write_outputs(workspace, kept)
    return [file.name for file in files if file not in kept or file.name in kept_out]


def output_files(files: Sequence[SandboxFile]) -> tuple[OutputFile, ...]:
    """Name the files as they are downloaded: `out/a.csv` as `out_a.csv`."""
    names = plain_names([file.name for file in files])
    return tuple(
        OutputFile(name=name, media_type=_media_type(name), content=file.content)
        for name, file in zip(names, files, strict=True)
    )


def _media_type(name: str) -> str:
    return _MEDIA_TYPES.guess_type(name)[0] or "application/octet-stream"
