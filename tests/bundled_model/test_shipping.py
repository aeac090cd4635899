"""A training folder becomes the files that people get, with what is known of them."""

import hashlib
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is missing: `bash tests/run.sh training` brings it")

from main_api.backends.gguf import read_facts  # noqa: E402
from main_api.backends.local_models import BUNDLED_PATH  # noqa: E402
from main_api.bundled_model.export import from_gguf, shipping  # noqa: E402
from main_api.bundled_model.tokenizer import save  # noqa: E402
from main_api.bundled_model.training.network import Shape  # noqa: E402
from main_api.bundled_model.training.trainer import Options, Trainer  # noqa: E402

pytestmark = pytest.mark.training


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = from_gguf.read(BUNDLED_PATH).tokenizer
    shape = Shape(vocabulary=tokenizer.get_vocab_size(), layers=2, hidden=64)
    trainer = Trainer(Options(folder=tmp_path, seed=5, shape=shape))
    trainer.progress.tokens = 3_000_000
    trainer.save(tmp_path / "final.pt")
    save(tokenizer, tmp_path / "tokenizer.json")
    (tmp_path / "curve.jsonl").write_text(json.dumps({"tokens": 3_000_000, "loss": 0.5, "exact": {"plan": 0.25}}))
    return tmp_path


def test_a_training_folder_becomes_files_with_card_and_figures(folder: Path) -> None:
    file, halves, hugging_face, card, figures = shipping.export(
        folder, source="final.pt", version="0.3", trained_on="a minute on one core"
    )
    assert (file.name, read_facts(file).name) == (BUNDLED_PATH.name, "twinport-tiny")
    assert halves.stat().st_size > 1.5 * file.stat().st_size
    assert (hugging_face / "model.safetensors").exists()
    assert "3.0 million tokens, seed 5, a minute on one core" in card.read_text()
    assert hashlib.sha256(file.read_bytes()).hexdigest() in figures.read_text()
    assert "| 3.0 | 0.5000 | 0.25 |" in figures.read_text()
