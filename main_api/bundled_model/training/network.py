"""The network: a small Llama (RMSNorm, rotary positions, SwiGLU, tied embeddings) that llama.cpp, transformers and
MLX all run as it is."""

from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size of a network. `rope_theta` is high so that the slow pairs of a head hardly see positions: the built
    copying circuit (`copying.py`) matches tokens in them."""

    vocabulary: int = 4096
    width: int = 256
    layers: int = 6
    heads: int = 4
    hidden: int = 640
    context: int = 1024
    rope_theta: float = 1_000_000.0
    norm_eps: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Network(nn.Module):
    """Tokens to hidden states; `logits` makes scores of those that are asked for."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        cos, sin = _rotations(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the normed hidden states, (rows, positions, width), of `tokens`, (rows, positions)."""
        hidden = self.embedding(tokens)
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        for layer in self.layers:
            hidden = layer(hidden, cos, sin)
        return self.norm(hidden)

    def layer(self, number: int) -> "Layer":
        """Return a layer with its type."""
        return cast("Layer", self.layers[number])

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embedding.weight)


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, hidden = shape.width, shape.hidden
        self.heads = shape.heads
        self.attention_norm = nn.RMSNorm(width, eps=shape.norm_eps)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.feed_norm = nn.RMSNorm(width, eps=shape.norm_eps)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, _ = hidden.shape
        weights = torch.cat((self.query.weight, self.key.weight, self.value.weight))
        parts = F.linear(self.attention_norm(hidden), weights).view(rows, length, 3, self.heads, -1)
        query, key = _rotated(parts[:, :, :2], cos, sin).unbind(2)
        mixed = _attention(query.transpose(1, 2), key.transpose(1, 2), parts[:, :, 2].transpose(1, 2))
        hidden = hidden + self.output(mixed.transpose(1, 2).flatten(2))
        weights = torch.cat((self.gate.weight, self.up.weight))
        gate, up = F.linear(self.feed_norm(hidden), weights).chunk(2, dim=-1)
        return hidden + self.down(F.silu(gate) * up)


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return causal attention of (rows, heads, positions, width). On a CPU and for texts this short, plain matrix
    products are a quarter faster than the fused kernel and its backward pass."""
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    length = query.shape[-2]
    later = torch.full((length, length), -torch.inf, dtype=scores.dtype).triu(1)
    return (scores + later).softmax(-1) @ value


def _rotations(shape: Shape) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, (context, head width), in the halves order of transformers."""
    frequencies = shape.rope_theta ** -(torch.arange(0, shape.head_width, 2).float() / shape.head_width)
    angles = torch.outer(torch.arange(shape.context).float(), frequencies)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def _rotated(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn (rows, positions, 2, heads, width) by the positions."""
    first, second = heads.chunk(2, dim=-1)
    shape = (1, len(cos), 1, 1, -1)
    return heads * cos.view(shape) + torch.cat((-second, first), dim=-1) * sin.view(shape)
