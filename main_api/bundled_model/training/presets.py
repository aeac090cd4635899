"""The two ways to train: in about an hour on two cores, or in minutes on a GPU."""

import os
from pathlib import Path

import torch

from main_api.bundled_model.training.network import Shape
from main_api.bundled_model.training.trainer import Options


def options_for(size: str, *, folder: Path, seed: int, tokens: int | None) -> Options:
    """Return the options of the preset `size`. Raises `ValueError` for another name."""
    if size == "cpu":
        torch.set_num_threads(os.cpu_count() or 1)
        return Options(folder=folder, seed=seed, tokens=tokens or 20_000_000)
    if size == "gpu":
        return Options(
            folder=folder,
            seed=seed,
            tokens=tokens or 2_000_000_000,
            tokens_per_batch=65_536,
            matrix_rate=0.02,
            embedding_rate=1e-3,
            workers=max(1, (os.cpu_count() or 2) - 2),
            shape=Shape(width=320, layers=8, heads=5, hidden=832),
        )
    raise ValueError(f"There is no preset {size!r}; there are cpu and gpu.")
