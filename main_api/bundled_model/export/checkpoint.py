"""Checkpoints of the trainer: read one to export it, write one to train on from a model that was exported."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from main_api.bundled_model.export.model import Model, Sizes
from main_api.bundled_model.tokenizer import save
from main_api.bundled_model.training.network import Network, Shape
from main_api.bundled_model.training.trainer import Options, Trainer


def read(checkpoint: Path, tokenizer: Tokenizer) -> Model:
    """Read what the trainer saved. Raises `ValueError` if the tokenizer has more tokens than the network.

    A tokenizer may have fewer: the rows that no token stands for have never been read or written, and are left out.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = {name: np.asarray(tensor.float().numpy(), np.float32) for name, tensor in state["network"].items()}
    tokens = tokenizer.get_vocab_size()
    rows = len(weights["embedding.weight"])
    if tokens > rows:
        raise ValueError(f"The tokenizer has {tokens} tokens, the network of {checkpoint.name} {rows}.")
    weights["embedding.weight"] = weights["embedding.weight"][:tokens]
    return Model(Sizes(**{**state["shape"], "vocabulary": tokens}), weights, tokenizer)


def tokens_read(checkpoint: Path) -> int:
    """Return how many tokens of the corpus the training had read at `checkpoint`."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return int(state["progress"]["tokens"])


def seed_of(checkpoint: Path) -> int:
    """Return the seed of the training; the first one where the checkpoint does not say."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True).get("seed", 1))


def network_of(model: Model) -> Network:
    """Return the torch network with the model's weights, on the CPU and not in training."""
    network = Network(Shape(**model.sizes.as_dict()))
    network.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in model.weights.items()})
    return network.eval().requires_grad_(False)


def write(model: Model, folder: Path) -> Path:
    """Write the model as a folder that training goes on from: its weights and tokenizer, with nothing counted yet."""
    save(model.tokenizer, folder / "tokenizer.json")
    trainer = Trainer(Options(folder=folder, shape=Shape(**model.sizes.as_dict())))
    trainer.network.load_state_dict(network_of(model).state_dict())
    path = folder / "last.pt"
    trainer.save(path)
    return path
