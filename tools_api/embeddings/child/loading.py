"""Loads the models of the encoder's child, fetching from the hub what is not on this machine yet.

A model is downloaded into a folder with the ending `.part`, which the next attempt goes on with, and gets its name when
it is whole. Code that a model brings along is never run.
"""

import shutil
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tools_api.embeddings import files

Model = TypeVar("Model")

_NEVER = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.gguf", "*.mlmodel", "*.py", "*.zip"]
_WITH_SAFETENSORS = ["*.bin", "*.pt", "*.pth"]


class CannotLoad(Exception):
    """The model can't be had; the message says why and what to do."""


def load(name: str, downloads: Path, make: Callable[[Path], Model]) -> tuple[Model, Path]:
    """Return what `make` builds from the model's folder, and the folder. Raises `CannotLoad`."""
    try:
        folder = files.find_model(name, downloads) or _download(name, downloads)
        return make(folder), folder
    except CannotLoad:
        raise
    except ImportError as error:
        traceback.print_exc()
        raise CannotLoad(
            f"the package {error.name or 'torch'} is missing or broken; start the servers again to install it"
        ) from error
    except Exception as error:
        traceback.print_exc()  # whatever a library raises for files that are no model; the log gets all of it
        raise CannotLoad(
            f"the files of {files.shown_name(name)} can't be loaded as such a model of sentence-transformers "
            f"({type(error).__name__}); the log of the tools API has more"
        ) from error


def _download(name: str, downloads: Path) -> Path:
    from huggingface_hub import (
        HfApi,
        snapshot_download,  # pyright: ignore[reportUnknownVariableType]
    )
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    full = files.hub_name(name)
    whole = files.download_folder(name, downloads)
    part = whole.with_name(whole.name + ".part")
    try:
        found = HfApi().model_info(full)
        safe = any(file.rfilename.endswith(".safetensors") for file in found.siblings or [])
        ignored = _NEVER + (_WITH_SAFETENSORS if safe else [])
        snapshot_download(full, revision=found.sha, local_dir=part, ignore_patterns=ignored, max_workers=4)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CannotLoad(
            f"there is no model {name!r} on the hub, or it needs a token (HF_TOKEN), and no folder of that name here; "
            "correct the setting, or give the folder of a model"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise CannotLoad(
            f"{name} is not on this machine and could not be downloaded ({type(error).__name__}); "
            "mend the network, or give the folder of a model"
        ) from error
    shutil.rmtree(part / ".cache", ignore_errors=True)
    part.rename(whole)
    return whole
