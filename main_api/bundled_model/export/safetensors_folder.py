"""The Hugging Face folder that transformers and MLX load: weights, configuration, tokenizer and model card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from main_api.bundled_model.export.card import Figures, hugging_face_card
from main_api.bundled_model.export.model import Model, Sizes, names
from main_api.bundled_model.tokenizer import END, END_OF_TEXT, SPECIAL, save


def write(model: Model, folder: Path, figures: Figures | None = None) -> Path:
    """Write `model` into `folder`, with a model card if there are figures, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name.hugging_face: np.ascontiguousarray(model.weights[name.network]) for name in names(model.sizes.layers)
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    save(model.tokenizer, folder / "tokenizer.json")
    _write_json(folder / "config.json", _configuration(model.sizes))
    _write_json(folder / "tokenizer_config.json", _tokenizer_configuration(model))
    _write_json(folder / "generation_config.json", _generation())
    if figures:
        (folder / "README.md").write_text(hugging_face_card(figures), encoding="utf-8")
    return folder


def _configuration(sizes: Sizes) -> dict[str, Any]:
    """Name the rotary base twice: transformers 5 reads `rope_parameters`, mlx-lm `rope_theta`, and each would take its
    own default without a word."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": sizes.vocabulary,
        "hidden_size": sizes.width,
        "intermediate_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.heads,
        "head_dim": sizes.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": sizes.context,
        "rms_norm_eps": sizes.norm_eps,
        "rope_theta": sizes.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": sizes.rope_theta},
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": END,
        "pad_token_id": END_OF_TEXT,
        "dtype": "float32",
    }


def _tokenizer_configuration(model: Model) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL[END_OF_TEXT],
        "eos_token": SPECIAL[END],
        "pad_token": SPECIAL[END_OF_TEXT],
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": model.sizes.context,
        "chat_template": model.chat_template,
    }


def _generation() -> dict[str, Any]:
    return {"do_sample": False, "bos_token_id": END_OF_TEXT, "eos_token_id": END, "pad_token_id": END_OF_TEXT}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
