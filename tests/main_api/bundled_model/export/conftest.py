"""A small model of random weights in the real formats: what the export must keep has nothing to do with training."""

import numpy as np
import pytest
from tokenizers import pre_tokenizers

from main_api.bundled_model.export.card import Figures
from main_api.bundled_model.export.model import Model, Sizes, names
from main_api.bundled_model.tokenizer import SPECIAL, assembled

SIZES = Sizes(
    vocabulary=264, width=64, layers=2, heads=2, hidden=96, context=1024, rope_theta=1_000_000.0, norm_eps=1e-5
)
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ('"', "}"), ("Ċ", "Ċ")]


def shape_of(name: str) -> tuple[int, ...]:
    match name.split(".")[-2]:
        case "embedding":
            return SIZES.vocabulary, SIZES.width
        case "gate" | "up":
            return SIZES.hidden, SIZES.width
        case "down":
            return SIZES.width, SIZES.hidden
        case "norm" | "attention_norm" | "feed_norm":
            return (SIZES.width,)
        case _:
            return SIZES.width, SIZES.width


@pytest.fixture(scope="session")
def model() -> Model:
    random = np.random.default_rng(1)
    weights = {
        name.network: random.normal(0, 0.5, shape_of(name.network)).astype(np.float32) for name in names(SIZES.layers)
    }
    vocabulary = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in MERGES)]
    return Model(SIZES, weights, assembled(vocabulary, MERGES))


@pytest.fixture(scope="session")
def figures(model: Model) -> Figures:
    return Figures(
        version="1.2", parameters=model.parameters, sizes=model.sizes, training_tokens=12_000_000, seed=7, licence="MIT"
    )
