"""A network that can copy before it has learned anything.

Copying what follows an earlier occurrence of the current token (an induction head, Olsson et al. 2022) does not emerge
within the few million tokens of an hour on two cores. Built in by hand it works from the first step, and training only
has to learn when to use it. One head of the first layer writes down which token came before; two heads of the second
look for the place that came after the current token, and bring what stands there.
"""

import math

import torch
from torch import Tensor

from main_api.bundled_model.training.network import Network

_NOTE = 64
"""Dimensions of the residual stream, the last ones, that hold what the token before was."""
_SPREAD = 0.04
_CONSTANT = 0.5
_FAST_PAIRS = 10
_PREVIOUS_SHARPNESS = 160.0
_MATCH_SHARPNESS = 8.0
_NOTE_GAIN = 0.05
_COPY_GAIN = 0.25
_FINAL_GAIN = 2.0


@torch.no_grad()
def build_in_copying(network: Network, seed: int) -> None:
    """Set all weights: the copying circuit, and nothing but noise that nothing reads yet elsewhere."""
    shape = network.shape
    if shape.head_width != _NOTE or shape.layers < 2:
        raise ValueError("The copying circuit needs heads of 64 dimensions and two layers.")
    random = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2:
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.5 / math.sqrt(parameter.shape[1]))
        if name.endswith(("output.weight", "down.weight")):
            parameter.zero_()
    tokens = shape.width - _NOTE - 1
    embedding = network.embedding.weight
    embedding.zero_()
    embedding[:, :tokens] = torch.randn(shape.vocabulary, tokens, generator=random) * _SPREAD
    embedding[:, tokens] = _CONSTANT
    network.norm.weight.fill_(_FINAL_GAIN)
    projection = _orthonormal(tokens, random)[:_NOTE]
    _note_previous_token(network, projection)
    subspaces = _orthonormal(tokens, random)
    for head in range(2):
        _find_and_copy(network, head, projection, subspaces[head * _NOTE : (head + 1) * _NOTE])


def keep_the_circuit(network: Network) -> None:
    """Keep the embedding's constant and the room for notes as they were built: they carry the circuit for all tokens
    alike, and a step of Adam, which moves every number by as much, would wash them out."""
    tokens = network.shape.width - _NOTE - 1
    learned = torch.zeros(network.shape.width, device=network.embedding.weight.device)
    learned[:tokens] = 1

    def of_what_is_learned(gradient: Tensor) -> Tensor:
        return gradient * learned

    network.embedding.weight.register_hook(of_what_is_learned)


def _note_previous_token(network: Network, projection: Tensor) -> None:
    """Head 0 of the first layer attends to the position before by the fast rotary pairs and notes its token."""
    layer, shape = network.layer(0), network.shape
    half, tokens = _NOTE // 2, shape.width - _NOTE - 1
    normed = _CONSTANT / _rms(shape.width, tokens, notes=False)
    size = math.sqrt(_PREVIOUS_SHARPNESS) / normed
    query, key = layer.query.weight, layer.key.weight
    query[:_NOTE] = 0
    key[:_NOTE] = 0
    for pair in range(_FAST_PAIRS):
        angle = -(shape.rope_theta ** (-2 * pair / _NOTE))
        query[pair, tokens], query[pair + half, tokens] = size * math.cos(angle), size * math.sin(angle)
        key[pair, tokens] = size
    layer.value.weight[:_NOTE] = 0
    layer.value.weight[:_NOTE, :tokens] = projection
    layer.output.weight[tokens + 1 :, :_NOTE] = torch.eye(_NOTE) * _NOTE_GAIN


def _find_and_copy(network: Network, head: int, projection: Tensor, subspace: Tensor) -> None:
    """A head of the second layer matches the current token with the noted ones, in the slow rotary pairs, which hardly
    depend on the distance, and brings the token that stands there."""
    layer, shape = network.layer(1), network.shape
    tokens, half, quarter = shape.width - _NOTE - 1, _NOTE // 2, _NOTE // 4
    rows = slice(head * _NOTE, (head + 1) * _NOTE)
    slow = [*range(quarter, half), *range(half + quarter, _NOTE)]
    noted = slice(head * half, (head + 1) * half)
    rms = _rms(shape.width, tokens, notes=True)
    token_size = _SPREAD / rms
    note_size = _NOTE_GAIN * (_SPREAD / _rms(shape.width, tokens, notes=False)) / rms
    query, key = torch.zeros(_NOTE, shape.width), torch.zeros(_NOTE, shape.width)
    query[slow, :tokens] = projection[noted] * math.sqrt(_MATCH_SHARPNESS) / token_size
    numbers = torch.arange(half)
    key[torch.tensor(slow), tokens + 1 + head * half + numbers] = math.sqrt(_MATCH_SHARPNESS) / note_size
    layer.query.weight[rows] = query
    layer.key.weight[rows] = key
    layer.value.weight[rows] = 0
    layer.value.weight[rows, :tokens] = subspace
    layer.output.weight[:tokens, rows] = subspace.T * _COPY_GAIN


def _rms(width: int, tokens: int, *, notes: bool) -> float:
    """Return the root mean square of the residual stream before any layer has learned."""
    total = tokens * _SPREAD**2 + _CONSTANT**2
    if notes:
        total += _NOTE * (_NOTE_GAIN * _SPREAD / _rms(width, tokens, notes=False)) ** 2
    return math.sqrt(total / width)


def _orthonormal(size: int, random: torch.Generator) -> Tensor:
    return torch.linalg.qr(torch.randn(size, size, generator=random))[0]
