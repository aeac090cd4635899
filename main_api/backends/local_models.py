"""Which GGUF models there are: files and folders below `<data>/models`, and the bundled one. Only reads the disk.

    models/llama3.2-1b/any-name.gguf      local/llama3.2-1b          (the portal document's folders)
    models/qwen2.5-7b-q4.gguf             local/qwen2.5-7b-q4
    models/qwen/q4.gguf, models/qwen/q8…  local/qwen/q4, local/qwen/q8; local/qwen means the first of them

Of a model in several parts (`-00001-of-00003`) the first part stands for all. Vision projectors (`mmproj`) are not
models. A file that cannot be read is kept with its problem, so that who asks for it learns why.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from main_api.backends.gguf import GgufFacts, NotGguf, read_facts

BUNDLED_NAME: Final = "twinport-tiny"
BUNDLED_MODEL: Final = f"local/{BUNDLED_NAME}"
"""The public name of the model that is always there."""
BUNDLED_ADVICE: Final = (
    "This is the small built-in model, which knows nothing by itself. To connect a bigger one, start Ollama, fetch a "
    "GGUF file (twinport models pull org/repo), or set a provider's key; the README says how."
)
BUNDLED_PATH: Final = Path(__file__).with_name("bundled") / "twinport-tiny.gguf"
_PART: Final = re.compile(r"-(\d{5})-of-\d{5}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """One model on disk. `name` has no backend prefix; `problem` says why it cannot be used, if it cannot."""

    name: str
    path: Path
    size_bytes: int
    modified: int
    version: str
    facts: GgufFacts | None
    problem: str | None = None

    @property
    def is_bundled(self) -> bool:
        return self.path == BUNDLED_PATH

    @property
    def files(self) -> list[Path]:
        """All files of a model in several parts, else the one."""
        return _parts(self.path)


def scan(folder: Path, known: Mapping[Path, LocalModel]) -> dict[str, LocalModel]:
    """Return the models by name (blocking). `known` are earlier findings by path; unchanged files are not reread."""
    found: dict[str, LocalModel] = {}
    for name, path, also in _named_files(folder):
        model = _look_at(name, path, known.get(path))
        if model is None:
            continue
        found[name] = model
        if also is not None:
            found.setdefault(also, model)
    if (bundled := _look_at(BUNDLED_NAME, BUNDLED_PATH, known.get(BUNDLED_PATH))) is not None:
        found[BUNDLED_NAME] = bundled
    return found


def _named_files(folder: Path) -> Iterator[tuple[str, Path, str | None]]:
    """Yield name, file, and the folder's name where it also stands for the file."""
    by_folder: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*.gguf")):
        inside = path.relative_to(folder)
        if inside.parts[0] == "mlx" or "mmproj" in path.name.lower() or _is_later_part(path):
            continue
        by_folder.setdefault(inside.parent, []).append(path)
    for parent, paths in by_folder.items():
        for position, path in enumerate(paths):
            stem = _PART.sub("", path.stem)
            if parent == Path():
                yield stem, path, None
            elif len(paths) == 1:
                yield parent.as_posix(), path, None
            else:
                yield (parent / stem).as_posix(), path, parent.as_posix() if position == 0 else None


def _look_at(name: str, path: Path, before: LocalModel | None) -> LocalModel | None:
    try:
        files = _parts(path)
        stats = [file.stat() for file in files]
    except OSError:
        return None  # it went away meanwhile
    size, modified = sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)
    version = f"{modified}-{size}"
    if before is not None and (before.version, before.name) == (version, name):
        return before
    facts, problem = _facts(path)
    return LocalModel(
        name=name,
        path=path,
        size_bytes=size,
        modified=modified // 1_000_000_000,
        version=version,
        facts=facts,
        problem=problem,
    )


def _facts(path: Path) -> tuple[GgufFacts | None, str | None]:
    try:
        return read_facts(path), None
    except NotGguf as error:
        return None, str(error)
    except OSError as error:
        return None, f"the file cannot be read ({os.strerror(error.errno or 0)})"


def _is_later_part(path: Path) -> bool:
    part = _PART.search(path.stem)
    return part is not None and part.group(1) != "00001"


def _parts(path: Path) -> list[Path]:
    if _PART.search(path.stem) is None:
        return [path]
    return sorted(path.parent.glob(_PART.sub("", path.stem) + "-*-of-*.gguf"))
