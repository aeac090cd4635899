"""A trained model as plain arrays: what every file is written from and read back into.

Torch is not needed here, nor does this know any file format; only what the formats call each tensor.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Weights = NDArray[np.float32]
CHAT_TEMPLATE = (Path(__file__).parents[1] / "chat_template.jinja").read_text(encoding="utf-8")
"""What a model that is trained now is asked with; a model read from a file has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """The fields of `training.network.Shape`, which is where torch is."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    hidden: int
    context: int
    rope_theta: float
    norm_eps: float

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Model:
    """`weights` by the names that the network gives them; embeddings are tied, so there is no output matrix."""

    sizes: Sizes
    weights: Mapping[str, Weights]
    tokenizer: Tokenizer
    chat_template: str = CHAT_TEMPLATE

    @property
    def parameters(self) -> int:
        return sum(tensor.size for tensor in self.weights.values())


class Names(NamedTuple):
    """What one tensor is called by the network, by Hugging Face and by llama.cpp."""

    network: str
    hugging_face: str
    gguf: str


_LAYER_PARTS = (
    ("attention_norm", "input_layernorm", "attn_norm"),
    ("query", "self_attn.q_proj", "attn_q"),
    ("key", "self_attn.k_proj", "attn_k"),
    ("value", "self_attn.v_proj", "attn_v"),
    ("output", "self_attn.o_proj", "attn_output"),
    ("feed_norm", "post_attention_layernorm", "ffn_norm"),
    ("gate", "mlp.gate_proj", "ffn_gate"),
    ("up", "mlp.up_proj", "ffn_up"),
    ("down", "mlp.down_proj", "ffn_down"),
)


def names(layers: int) -> Iterator[Names]:
    """Yield the names of all tensors of a network with so many layers."""
    yield Names("embedding.weight", "model.embed_tokens.weight", "token_embd.weight")
    yield Names("norm.weight", "model.norm.weight", "output_norm.weight")
    for layer in range(layers):
        for network, hugging_face, gguf in _LAYER_PARTS:
            yield Names(
                f"layers.{layer}.{network}.weight",
                f"model.layers.{layer}.{hugging_face}.weight",
                f"blk.{layer}.{gguf}.weight",
            )
