"""Which MLX models there are: folders below `<data>/models/mlx`, and repositories already in Hugging Face's cache.

Only reads the disk; nothing is ever downloaded here.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from main_api.backends.openai_wire_json import as_list, as_object

_NEEDED: Final = ("config.json", "tokenizer_config.json")
_TOOL_MARKS: Final = (
    "<minimax:tool_call>", "<|tool_call>", "<start_function_call>", "<longcat_tool_call>", "<arg_key>",
    "<|tool_list_start|>", "<|tool_call_start|>", "<tool_call>\\n<function=", "<tool_call>\n<function=",
    "<|tool_calls_section_begin|>", '<function name="', "[TOOL_CALLS]", "tool_call.name",
)  # fmt: skip
"""What mlx_lm.tokenizer_utils looks for in a chat template to know how its calls are written (mlx-lm 0.32)."""

Cache = Path | Literal["default"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MlxModel:
    """One model folder. `name` has no backend prefix."""

    name: str
    path: Path
    size_bytes: int
    modified: int
    context_length: int | None
    calls_tools: bool


def is_installed() -> bool:
    """Tell whether mlx-lm is there, without importing it."""
    return importlib.util.find_spec("mlx_lm") is not None


def scan(folder: Path, cache: Cache) -> dict[str, MlxModel]:
    """Return the models by name (blocking); a folder of ours wins over the cache."""
    found = {name: _look_at(name, path) for name, path in (*_cached(cache), *_folders(folder))}
    return {name: model for name, model in found.items() if model is not None}


def _folders(folder: Path) -> list[tuple[str, Path]]:
    """Find `name/` and `owner/name/`."""
    configs = sorted((*folder.glob("*/config.json"), *folder.glob("*/*/config.json")))
    return [(config.parent.relative_to(folder).as_posix(), config.parent) for config in configs]


def _cached(cache: Cache) -> list[tuple[str, Path]]:
    if cache is None or importlib.util.find_spec("huggingface_hub") is None:
        return []
    hub: Any = importlib.import_module("huggingface_hub")
    try:
        info = hub.scan_cache_dir() if cache == "default" else hub.scan_cache_dir(cache)
    except hub.errors.CacheNotFound:
        return []
    models = [repo for repo in info.repos if repo.repo_type == "model" and "main" in repo.refs]
    return [(repo.repo_id, Path(repo.refs["main"].snapshot_path)) for repo in models]


def _look_at(name: str, path: Path) -> MlxModel | None:
    weights = list(path.glob("*.safetensors"))
    if not weights or not all((path / needed).is_file() for needed in _NEEDED):
        return None
    try:
        config = as_object(orjson.loads((path / "config.json").read_bytes())) or {}
        template = _template(path)
        stats = [file.stat() for file in weights]
    except (OSError, orjson.JSONDecodeError):
        return None
    text = as_object(config.get("text_config")) or config
    context = text.get("max_position_embeddings")
    return MlxModel(
        name=name,
        path=path,
        size_bytes=sum(stat.st_size for stat in stats),
        modified=int(max(stat.st_mtime for stat in stats)),
        context_length=context if isinstance(context, int) and context > 0 else None,
        calls_tools="tools" in template and any(mark in template for mark in _TOOL_MARKS),
    )


def _template(path: Path) -> str:
    """Return the chat template: a file of its own, or an entry (or several, named) of the tokenizer's settings."""
    if (own := path / "chat_template.jinja").is_file():
        return own.read_text(encoding="utf-8", errors="replace")
    settings = as_object(orjson.loads((path / "tokenizer_config.json").read_bytes())) or {}
    template = settings.get("chat_template", "")
    if isinstance(template, str):
        return template
    return "\n".join(str((as_object(entry) or {}).get("template", "")) for entry in as_list(template) or ())
