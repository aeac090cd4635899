"""The GGUF file that llama.cpp runs: weights, tokenizer, chat template and model card in one.

What matters is that llama.cpp reads the same model: rows of the query and key matrices are in its own order, the
embeddings stand for the output matrix, and the pre-tokenizer is the one that it calls `smollm`.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from tokenizers import Tokenizer

from main_api.bundled_model.export.card import DATA, DESCRIPTION, NAME, Figures, card_text
from main_api.bundled_model.export.model import Model, Sizes, Weights, names
from main_api.bundled_model.tokenizer import END, END_OF_TEXT, SPECIAL


class Precision(StrEnum):
    """How matrices are kept; norms are always F32."""

    F32 = "f32"
    F16 = "f16"
    Q8_0 = "q8_0"


class _Kind(NamedTuple):
    tensor: GGMLQuantizationType
    file: LlamaFileType


_KINDS = {
    Precision.F32: _Kind(GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    Precision.F16: _Kind(GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    Precision.Q8_0: _Kind(GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}


class Vocabulary(NamedTuple):
    """Tokens in order of their ids, merges in order of their rank."""

    tokens: list[str]
    merges: list[tuple[str, str]]


def write(model: Model, path: Path, precision: Precision, figures: Figures) -> None:
    """Write `model` to `path`, at once or not at all."""
    partial = path.with_suffix(".part")
    kind = _KINDS[precision]
    writer = GGUFWriter(partial, "llama")
    writer.add_file_type(kind.file)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_card(writer, figures)
    _add_sizes(writer, model.sizes)
    _add_tokenizer(writer, model.tokenizer)
    writer.add_chat_template(model.chat_template)
    for name in names(model.sizes.layers):
        tensor = in_llama_cpp_order(name.gguf, model.weights[name.network], model.sizes.heads)
        _add_tensor(writer, name.gguf, tensor, kind.tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """Return the tokens and merges. Raises `ValueError` if ids are missing or the special tokens are not the first."""
    ids = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(ids, key=lambda token: ids[token])
    if [ids[token] for token in tokens] != list(range(len(tokens))) or tuple(tokens[: len(SPECIAL)]) != SPECIAL:
        raise ValueError("The tokenizer's ids have gaps or do not begin with its special tokens.")
    return Vocabulary(tokens, [(first, second) for first, second in json.loads(tokenizer.to_str())["model"]["merges"]])


def in_llama_cpp_order(name: str, tensor: Weights, heads: int) -> Weights:
    """Return the query and key rows as llama.cpp turns them: pair by pair, not half by half."""
    if not name.endswith(("attn_q.weight", "attn_k.weight")):
        return tensor
    rows, columns = tensor.shape
    return tensor.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _add_card(writer: GGUFWriter, figures: Figures) -> None:
    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_version(figures.version)
    writer.add_description(DESCRIPTION)
    writer.add_size_label(figures.size_label)
    writer.add_languages(["en"])
    writer.add_tags(["text-generation", "tool-use", "agent"])
    if figures.licence:
        writer.add_license(figures.licence)
    writer.add_dataset_count(1)
    writer.add_dataset_name(0, "Twinport's synthetic conversations")
    writer.add_dataset_description(0, DATA)
    writer.add_string("twinport.model_card", card_text(figures))
    writer.add_uint64("twinport.training.tokens", figures.training_tokens)
    writer.add_uint64("twinport.training.seed", figures.seed)


def _add_sizes(writer: GGUFWriter, sizes: Sizes) -> None:
    writer.add_vocab_size(sizes.vocabulary)
    writer.add_context_length(sizes.context)
    writer.add_embedding_length(sizes.width)
    writer.add_block_count(sizes.layers)
    writer.add_feed_forward_length(sizes.hidden)
    writer.add_head_count(sizes.heads)
    writer.add_head_count_kv(sizes.heads)
    writer.add_layer_norm_rms_eps(sizes.norm_eps)
    writer.add_rope_dimension_count(sizes.head_width)
    writer.add_rope_freq_base(sizes.rope_theta)


def _add_tokenizer(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    tokens, merges = vocabulary_of(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(_token_types(tokens))
    writer.add_token_merges([f"{first} {second}" for first, second in merges])
    writer.add_bos_token_id(END_OF_TEXT)
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(END_OF_TEXT)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)


def _token_types(tokens: Sequence[str]) -> list[TokenType]:
    return [TokenType.CONTROL if number < len(SPECIAL) else TokenType.NORMAL for number in range(len(tokens))]


def _add_tensor(writer: GGUFWriter, name: str, tensor: Weights, kind: GGMLQuantizationType) -> None:
    if tensor.ndim == 1:
        kind = GGMLQuantizationType.F32
    writer.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(tensor), kind), raw_dtype=kind)
