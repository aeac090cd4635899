"""The Hugging Face folder: the same weights under its names, and a configuration that no reader takes otherwise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from main_api.bundled_model.export import safetensors_folder
from main_api.bundled_model.export.card import Figures
from main_api.bundled_model.export.model import Model, names
from main_api.bundled_model.tokenizer import load


def parsed(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_weights_under_the_names_of_hugging_face(model: Model, tmp_path: Path) -> None:
    tensors = load_file(safetensors_folder.write(model, tmp_path / "new") / "model.safetensors")
    assert "model.layers.1.self_attn.q_proj.weight" in tensors
    assert "lm_head.weight" not in tensors
    for name in names(model.sizes.layers):
        np.testing.assert_array_equal(tensors.pop(name.hugging_face), model.weights[name.network])
    assert not tensors


def test_rotary_base_is_named_for_both_readers(model: Model, tmp_path: Path) -> None:
    configuration = parsed(safetensors_folder.write(model, tmp_path) / "config.json")
    assert configuration["rope_theta"] == configuration["rope_parameters"]["rope_theta"] == 1_000_000.0
    assert configuration["tie_word_embeddings"] is True
    assert configuration["vocab_size"] == model.tokenizer.get_vocab_size()


def test_tokenizer_and_its_template(model: Model, tmp_path: Path) -> None:
    folder = safetensors_folder.write(model, tmp_path)
    assert load(folder / "tokenizer.json").to_str() == model.tokenizer.to_str()
    settings = parsed(folder / "tokenizer_config.json")
    assert settings["chat_template"] == model.chat_template
    assert settings["eos_token"] == "<|im_end|>"
    assert parsed(folder / "generation_config.json")["eos_token_id"] == 2


def test_model_card_with_its_header(model: Model, figures: Figures, tmp_path: Path) -> None:
    card = (safetensors_folder.write(model, tmp_path, figures) / "README.md").read_text()
    assert card.startswith("---\nlanguage: en\nlicense: MIT\n")
    assert "# twinport-tiny 1.2" in card
