"""Make a model folder that mlx-lm loads out of the bundled GGUF file: the same weights, the same tokenizer."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_F32, _F16, _Q8_0 = 0, 1, 8
_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def make_mlx_folder(gguf: Path, folder: Path) -> Path:
    """Write config, weights and tokenizer of `gguf` below `folder`, and return it."""
    facts, tensors = _read(gguf)
    folder.mkdir(parents=True)
    heads, layers = facts["llama.attention.head_count"], facts["llama.block_count"]
    save_file(
        {_name(name): _unpermuted(name, tensor, heads) for name, tensor in tensors.items()},
        folder / "model.safetensors",
    )
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": facts["llama.embedding_length"],
        "intermediate_size": facts["llama.feed_forward_length"],
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": facts.get("llama.attention.head_count_kv", heads),
        "rms_norm_eps": facts["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": facts["llama.rope.freq_base"],
        "vocab_size": len(facts["tokenizer.ggml.tokens"]),
        "max_position_embeddings": 1024,
        "tie_word_embeddings": True,
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
    }
    (folder / "config.json").write_text(json.dumps(config))
    _write_tokenizer(facts, folder)
    return folder


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    data, at = path.read_bytes(), 4

    def take(form: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def text() -> str:
        nonlocal at
        length = take("Q")
        at += length
        return data[at - length : at].decode()

    def value(kind: int) -> Any:
        if kind == 8:
            return text()
        if kind != 9:
            return take(_SCALARS[kind])
        inner, count = take("I"), take("Q")
        return [value(inner) for _ in range(count)]

    take("I")
    count, keys = take("Q"), take("Q")
    facts = {text(): value(take("I")) for _ in range(keys)}
    infos = [(text(), [take("Q") for _ in range(take("I"))], take("I"), take("Q")) for _ in range(count)]
    alignment = facts.get("general.alignment", 32)
    start = (at + alignment - 1) // alignment * alignment
    return facts, {name: _tensor(data, start + offset, shape[::-1], kind) for name, shape, kind, offset in infos}


def _tensor(data: bytes, at: int, shape: list[int], kind: int) -> np.ndarray:
    size = int(np.prod(shape))
    if kind in (_F32, _F16):
        return (
            np.frombuffer(data, np.float32 if kind == _F32 else np.float16, size, at).astype(np.float32).reshape(shape)
        )
    assert kind == _Q8_0, kind
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("values", "i1", 32)]), size // 32, at)
    return (blocks["scale"].astype(np.float32)[:, None] * blocks["values"]).reshape(shape)


def _name(gguf: str) -> str:
    match gguf.split("."):
        case ["token_embd", _]:
            return "model.embed_tokens.weight"
        case ["output_norm", _]:
            return "model.norm.weight"
        case [_, layer, part, _]:
            return f"model.layers.{layer}.{_NAMES[part]}.weight"
    raise AssertionError(gguf)


def _unpermuted(name: str, tensor: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp keeps the rows of q and k in another order for its rotary embedding."""
    if ".attn_q." not in name and ".attn_k." not in name:
        return np.ascontiguousarray(tensor)
    rows, columns = tensor.shape
    return np.ascontiguousarray(
        tensor.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


def _write_tokenizer(facts: dict[str, Any], folder: Path) -> None:
    tokens = facts["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, facts["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": tokens[facts["tokenizer.ggml.eos_token_id"]],
        "chat_template": facts["tokenizer.chat_template"],
        "model_max_length": 1024,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
