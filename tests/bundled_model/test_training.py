"""Training on a very small network: it learns, stops, and goes on where it was."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the training packages are an extra of their own")

from main_api.backends.local_models import BUNDLED_PATH  # noqa: E402
from main_api.bundled_model import tokenizer  # noqa: E402
from main_api.bundled_model.export import from_gguf  # noqa: E402
from main_api.bundled_model.training.copying import build_in_copying  # noqa: E402
from main_api.bundled_model.training.network import Network, Shape  # noqa: E402
from main_api.bundled_model.training.trainer import Options, Trainer  # noqa: E402

pytestmark = pytest.mark.training

SMALL = Shape(layers=2, hidden=64)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    tokenizer.save(from_gguf.read(BUNDLED_PATH).tokenizer, path)
    return path.read_text(encoding="utf-8")


def trainer(folder: Path, words: str, *, tokens: int = 12_000) -> Trainer:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(words, encoding="utf-8")
    return Trainer(Options(folder=folder, tokens=tokens, tokens_per_batch=1024, shape=SMALL, save_every_s=9e9))


def test_a_stop_changes_nothing(tmp_path, words):
    whole = trainer(tmp_path / "whole", words)
    whole.run(steps=6)
    halved = trainer(tmp_path / "halved", words)
    halved.run(steps=3)
    again = trainer(tmp_path / "halved", words)
    again.resume(again.latest())
    again.run(steps=6)
    assert again.progress == whole.progress
    for one, other in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_the_loss_falls(tmp_path, words):
    learning = trainer(tmp_path / "learning", words, tokens=40_000)
    losses = []
    step = learning._step
    learning._step = lambda item: losses.append(step(item)) or losses[-1]
    learning.run(steps=24)
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


def test_a_longer_training_goes_on_before_the_rate_fell(tmp_path, words):
    trainer(tmp_path / "short", words, tokens=6_000).run()
    assert trainer(tmp_path / "short", words, tokens=60_000).latest() == tmp_path / "short" / "steady.pt"


@torch.no_grad()
def test_an_untrained_network_copies():
    network = Network(Shape(layers=2))
    build_in_copying(network, 1)
    half = torch.randint(0, 4096, (4, 120), generator=torch.Generator().manual_seed(2))
    tokens = torch.cat([half, half], dim=1)
    likeliest = network.logits(network(tokens))[:, 120:-1].argmax(-1)
    assert (likeliest == tokens[:, 121:]).float().mean() > 0.85
