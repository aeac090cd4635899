"""What is written to a GGUF file can be read back: by us, by the servers' own reader, and by llama.cpp."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from tokenizers import Tokenizer, pre_tokenizers

from main_api.backends.gguf import read_facts
from main_api.backends.local_models import BUNDLED_PATH
from main_api.bundled_model.export import from_gguf, gguf_file
from main_api.bundled_model.export.card import DESCRIPTION, Figures, card_text
from main_api.bundled_model.export.engine import serving
from main_api.bundled_model.export.gguf_file import Precision
from main_api.bundled_model.export.model import Model, Weights
from main_api.bundled_model.export.text_checks import template, template_in_llama_cpp, token_ids
from main_api.bundled_model.tokenizer import assembled


def written(model: Model, figures: Figures, folder: Path, precision: Precision = Precision.F32) -> Path:
    path = folder / "model.gguf"
    gguf_file.write(model, path, precision, figures)
    return path


def as_halves(tensor: Weights) -> Weights:
    return tensor.astype(np.float16).astype(np.float32) if tensor.ndim == 2 else tensor


def test_f32_keeps_every_weight(model: Model, figures: Figures, tmp_path: Path) -> None:
    back = from_gguf.read(written(model, figures, tmp_path))
    assert back.sizes == model.sizes
    assert back.weights.keys() == model.weights.keys()
    for name, tensor in model.weights.items():
        np.testing.assert_array_equal(back.weights[name], tensor, err_msg=name)


def test_f16_keeps_matrices_as_halves_and_norms_whole(model: Model, figures: Figures, tmp_path: Path) -> None:
    back = from_gguf.read(written(model, figures, tmp_path, Precision.F16))
    for name, tensor in model.weights.items():
        np.testing.assert_array_equal(back.weights[name], as_halves(tensor), err_msg=name)


def test_q8_0_is_within_half_a_step_of_every_block(model: Model, figures: Figures, tmp_path: Path) -> None:
    back = from_gguf.read(written(model, figures, tmp_path, Precision.Q8_0))
    for name, tensor in model.weights.items():
        if tensor.ndim == 1:
            np.testing.assert_array_equal(back.weights[name], tensor, err_msg=name)
            continue
        blocks, found = tensor.reshape(-1, 32), back.weights[name].reshape(-1, 32)
        step = np.abs(blocks).max(axis=1, keepdims=True) / 127
        assert np.all(np.abs(found - blocks) <= step * 0.57), name  # 0.5, and what the scale loses as a half


def test_a_file_read_back_is_written_the_same(model: Model, figures: Figures, tmp_path: Path) -> None:
    first = written(model, figures, tmp_path, Precision.Q8_0).read_bytes()
    back = from_gguf.read(tmp_path / "model.gguf")
    assert written(back, figures, tmp_path, Precision.Q8_0).read_bytes() == first


def test_tokenizer_comes_back_whole(model: Model, figures: Figures, tmp_path: Path) -> None:
    back = from_gguf.read(written(model, figures, tmp_path)).tokenizer
    assert back.to_str() == model.tokenizer.to_str()
    assert back.encode('<|im_start|>the "x"}').tokens == ["<|im_start|>", "the", "Ġ", '"', "x", '"}']


def test_servers_read_name_context_and_template(model: Model, figures: Figures, tmp_path: Path) -> None:
    facts = read_facts(written(model, figures, tmp_path))
    assert (facts.architecture, facts.name, facts.context_length) == ("llama", "twinport-tiny", 1024)
    assert facts.chat_template == model.chat_template
    assert facts.calls_tools


def test_metadata_are_a_model_card(model: Model, figures: Figures, tmp_path: Path) -> None:
    fields = GGUFReader(written(model, figures, tmp_path)).fields
    facts = {key: field.contents() for key, field in fields.items()}
    assert facts["general.description"] == DESCRIPTION
    assert facts["general.version"] == "1.2"
    assert facts["general.license"] == "MIT"
    assert facts["general.languages"] == ["en"]
    assert facts["general.size_label"] == "0.1M"
    assert facts["twinport.model_card"] == card_text(figures)
    assert facts["twinport.training.tokens"] == 12_000_000
    assert facts["tokenizer.ggml.token_type"][:4] == [3, 3, 3, 1]
    assert facts["tokenizer.ggml.eos_token_id"] == 2
    assert facts["tokenizer.ggml.add_bos_token"] is False


def test_rows_of_llama_cpp_and_back(model: Model) -> None:
    rows = np.arange(8, dtype=np.float32).reshape(8, 1)
    turned = gguf_file.in_llama_cpp_order("blk.0.attn_q.weight", rows, 2)
    assert turned.ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]  # two heads of two pairs each
    assert from_gguf.in_network_order("blk.0.attn_q.weight", turned, 2).tolist() == rows.tolist()
    assert gguf_file.in_llama_cpp_order("blk.0.attn_v.weight", rows, 2) is rows


def test_special_tokens_must_come_first() -> None:
    with pytest.raises(ValueError, match="special"):
        gguf_file.vocabulary_of(assembled(["a", "<|endoftext|>", "<|im_start|>", "<|im_end|>"], []))


@pytest.mark.slow
async def test_llama_cpp_reads_texts_and_requests_as_training_does(
    model: Model, figures: Figures, tmp_path: Path
) -> None:
    async with serving(written(model, figures, tmp_path)) as server:
        assert (await token_ids(model.tokenizer, server, number=110)).failures == []
        assert (await template_in_llama_cpp(server, number=24)).failures == []
    assert template(model.chat_template, number=48).failures == []


@pytest.mark.slow
async def test_the_shipped_file_has_the_ids_of_its_tokenizer() -> None:
    async with serving(BUNDLED_PATH) as server:
        checked = await token_ids(from_gguf.read(BUNDLED_PATH).tokenizer, server)
    assert (checked.count, checked.failures) == (1_000, [])


@pytest.mark.slow
async def test_another_tokenizer_is_noticed(model: Model, figures: Figures, tmp_path: Path) -> None:
    other = Tokenizer.from_str(model.tokenizer.to_str())
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    async with serving(written(model, figures, tmp_path)) as server:
        checked = await token_ids(other, server, number=22)
    assert checked.count < checked.of
