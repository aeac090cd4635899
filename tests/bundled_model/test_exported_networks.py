"""What torch is needed for: a checkpoint is exported whole, and every engine answers as the network does.

The weights are those of the shipped file, which know what they want to say; a new checkpoint is made of them.
"""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is missing: `bash tests/run.sh training` brings it")

from main_api.backends.local_models import BUNDLED_PATH  # noqa: E402
from main_api.bundled_model.export import checkpoint, checks, from_gguf, gguf_file, safetensors_folder  # noqa: E402
from main_api.bundled_model.export.card import Figures  # noqa: E402
from main_api.bundled_model.export.engine import serving  # noqa: E402
from main_api.bundled_model.export.gguf_file import Precision  # noqa: E402
from main_api.bundled_model.export.model import Model  # noqa: E402
from main_api.bundled_model.tokenizer import load  # noqa: E402
from main_api.bundled_model.training.network import Shape  # noqa: E402
from main_api.bundled_model.training.trainer import Options, Trainer  # noqa: E402

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def model() -> Model:
    torch.set_num_threads(1)
    return from_gguf.read(BUNDLED_PATH, context=1024)


@pytest.fixture(scope="module")
def figures(model: Model) -> Figures:
    return Figures(version="0", parameters=model.parameters, sizes=model.sizes, training_tokens=0, seed=0)


def test_a_shipped_model_can_be_trained_on(model: Model, tmp_path: Path) -> None:
    path = checkpoint.write(model, tmp_path)
    trainer = Trainer(Options(folder=tmp_path, shape=Shape(**model.sizes.as_dict())))
    trainer.resume(path)
    assert trainer.progress.tokens == checkpoint.tokens_read(path) == 0
    back = checkpoint.read(path, load(tmp_path / "tokenizer.json"))
    assert back.sizes == model.sizes
    assert all((back.weights[name] == tensor).all() for name, tensor in model.weights.items())


def test_rows_without_a_token_are_left_out(model: Model, tmp_path: Path) -> None:
    tokens = model.tokenizer.get_vocab_size()
    trainer = Trainer(Options(folder=tmp_path, shape=Shape(vocabulary=tokens + 2, layers=2, hidden=64)))
    trainer.save(tmp_path / "final.pt")
    read = checkpoint.read(tmp_path / "final.pt", model.tokenizer)
    assert read.sizes.vocabulary == len(read.weights["embedding.weight"]) == tokens


def test_a_tokenizer_larger_than_the_network_is_refused(model: Model, tmp_path: Path) -> None:
    trainer = Trainer(Options(folder=tmp_path, shape=Shape(vocabulary=2000, layers=2, hidden=64)))
    trainer.save(tmp_path / "final.pt")
    tokens = model.tokenizer.get_vocab_size()
    with pytest.raises(ValueError, match=rf"{tokens} tokens, the network of final\.pt 2000"):
        checkpoint.read(tmp_path / "final.pt", model.tokenizer)


def test_transformers_scores_as_the_network_does(model: Model, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra mlx, which brings transformers, is missing")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(safetensors_folder.write(model, tmp_path))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello! ¿Qué tal? 42"}], add_generation_prompt=True, tokenize=False
    )
    tokens = tokenizer(text, return_tensors="pt").input_ids
    assert tokens[0].tolist() == model.tokenizer.encode(text).ids
    network = checkpoint.network_of(model)
    with torch.inference_mode():
        torch.testing.assert_close(theirs(tokens).logits, network.logits(network(tokens)), rtol=1e-4, atol=1e-3)


async def test_llama_cpp_answers_as_the_network_does(model: Model, figures: Figures, tmp_path: Path) -> None:
    gguf_file.write(model, tmp_path / "model.gguf", Precision.F32, figures)
    async with serving(tmp_path / "model.gguf") as server:
        checked = await checks.answers(checkpoint.network_of(model), model.tokenizer, server, "F32", number=12)
    assert (checked.count, checked.failures) == (12, [])


async def test_another_network_is_noticed(model: Model, figures: Figures, tmp_path: Path) -> None:
    gguf_file.write(model, tmp_path / "model.gguf", Precision.F32, figures)
    network = checkpoint.network_of(model)
    network.layers[1].query.weight.zero_()
    async with serving(tmp_path / "model.gguf") as server:
        checked = await checks.answers(network, model.tokenizer, server, "F32", number=12)
    assert checked.count < 6


def test_mlx_answers_as_the_network_does(model: Model, tmp_path: Path) -> None:
    pytest.importorskip("mlx_lm", reason="the extra mlx is missing")
    checked = checks.answers_of_mlx(checkpoint.network_of(model), model, tmp_path, number=12)
    assert (checked.count, checked.failures) == (12, [])
