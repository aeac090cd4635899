"""The way back: a GGUF file that `gguf_file.py` wrote, as a model that is trained on or written in another format.

It reads with the `gguf` package, the format's own, which is among the extras `training` and `dev`. The servers do not
need it: `backends/gguf.py` reads headers, safely, from files of strangers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGUFReader
from tokenizers import Tokenizer

from main_api.bundled_model.export.model import Model, Sizes, Weights, names
from main_api.bundled_model.tokenizer import assembled


def read(path: Path, *, context: int | None = None) -> Model:
    """Read weights as float32 and the tokenizer. `context` stands for the file's own where that says too much."""
    reader = GGUFReader(path)
    facts: dict[str, Any] = {key: field.contents() for key, field in reader.fields.items()}
    sizes = _sizes(facts, context)
    tensors = {
        tensor.name: np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32)
        for tensor in reader.tensors
    }
    weights = {
        name.network: in_network_order(name.gguf, tensors[name.gguf], sizes.heads) for name in names(sizes.layers)
    }
    return Model(sizes, weights, _tokenizer(facts), facts["tokenizer.chat_template"])


def in_network_order(name: str, tensor: Weights, heads: int) -> Weights:
    """Return the query and key rows half by half, as the network and transformers turn them."""
    if not name.endswith(("attn_q.weight", "attn_k.weight")):
        return tensor
    rows, columns = tensor.shape
    return tensor.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _sizes(facts: Mapping[str, Any], context: int | None) -> Sizes:
    return Sizes(
        vocabulary=len(facts["tokenizer.ggml.tokens"]),
        width=facts["llama.embedding_length"],
        layers=facts["llama.block_count"],
        heads=facts["llama.attention.head_count"],
        hidden=facts["llama.feed_forward_length"],
        context=context or facts["llama.context_length"],
        rope_theta=facts["llama.rope.freq_base"],
        norm_eps=_shortest(facts["llama.attention.layer_norm_rms_epsilon"]),
    )


def _shortest(single: float) -> float:
    """Return the shortest number that is the same in single precision, as which the file keeps it."""
    return float(str(np.float32(single)))


def _tokenizer(facts: Mapping[str, Any]) -> Tokenizer:
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    return assembled(facts["tokenizer.ggml.tokens"], [(first, second) for first, second in merges])
