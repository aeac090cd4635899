"""What a model's files say, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools_api.embeddings.models import PACKAGED, WIDTH, pair_model, text_model
from tools_api.embeddings import files
from tools_api.embeddings.errors import EncoderUnavailable


def test_the_default_model_is_found_in_its_package_and_described(tmp_path: Path) -> None:
    folder = files.find_model("all-MiniLM-L6-v2", tmp_path)
    assert folder == PACKAGED
    assert folder == files.find_model("sentence-transformers/all-MiniLM-L6-v2", tmp_path)
    model = files.describe(folder, "all-MiniLM-L6-v2")
    assert model is not None
    assert (model.name, model.dimensions, model.max_tokens) == ("all-MiniLM-L6-v2", 384, 256)
    assert files.tokenizer_file(folder) == PACKAGED / "tokenizer.json"


def test_a_folder_goes_by_its_last_part(tmp_path: Path) -> None:
    folder = text_model(tmp_path / "my-model")
    assert files.find_model(str(folder), tmp_path) == folder
    model = files.describe(folder, str(folder))
    assert model is not None
    assert (model.name, model.dimensions, model.max_tokens) == ("my-model", WIDTH, 64)


def test_a_download_is_there_once_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "acme--tiny.part").mkdir()
    assert files.find_model("acme/tiny", tmp_path) is None
    (tmp_path / "acme--tiny").mkdir()
    assert files.find_model("acme/tiny", tmp_path) == tmp_path / "acme--tiny"


@pytest.mark.parametrize("changed", ["config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"])
def test_the_fingerprint_changes_with_what_decides_the_vectors(tmp_path: Path, changed: str) -> None:
    folder = text_model(tmp_path / "tiny")
    before = files.fingerprint(folder, "tiny")
    (folder / "README.md").write_text("words about it")
    assert files.fingerprint(folder, "tiny") == before
    with (folder / changed).open("ab") as file:
        file.write(b" ")
    assert files.fingerprint(folder, "tiny") != before


def test_the_fingerprint_tells_weights_of_one_size_apart(tmp_path: Path) -> None:
    folder = text_model(tmp_path / "tiny")
    before = files.fingerprint(folder, "tiny")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert files.fingerprint(folder, "tiny") != before


def modules(folder: Path, *kinds: tuple[str, dict[str, object]]) -> Path:
    entries: list[dict[str, str]] = []
    for number, (kind, config) in enumerate(kinds):
        path = f"{number}_{kind}" if number else ""
        (folder / path).mkdir(parents=True, exist_ok=True)
        (folder / path / "config.json").write_text(json.dumps(config))
        entries.append({"path": path, "type": f"sentence_transformers.models.{kind}"})
    (folder / "modules.json").write_text(json.dumps(entries))
    return folder


def test_the_dimensions_follow_the_modules(tmp_path: Path) -> None:
    transformer: tuple[str, dict[str, object]] = ("Transformer", {"dim": 48})
    both: dict[str, object] = {
        "word_embedding_dimension": 48,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": True,
    }
    plain = modules(tmp_path / "plain", transformer)
    pooled = modules(tmp_path / "pooled", transformer, ("Pooling", both), ("Normalize", {}))
    dense = modules(tmp_path / "dense", transformer, ("Pooling", both), ("Dense", {"out_features": 16}))
    found = [files.describe(folder, str(folder)) for folder in (plain, pooled, dense)]
    assert [model.dimensions for model in found if model] == [48, 96, 16]


def test_a_model_that_only_loading_explains_is_not_guessed_at(tmp_path: Path) -> None:
    assert files.describe(modules(tmp_path, ("Router", {})), str(tmp_path)) is None


def test_a_cross_encoder_is_found_by_its_folder(tmp_path: Path) -> None:
    assert files.find_model(str(pair_model(tmp_path / "pairs")), tmp_path) == tmp_path / "pairs"


@pytest.mark.slow
def test_the_tools_api_imports_neither_torch_nor_numpy() -> None:
    heavy = ("torch", "transformers", "sentence_transformers", "numpy", "huggingface_hub")
    program = f"import sys, tools_api.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("damaged", [b"", b'{"hidden_size": 3', b"\xff\xfe"])
def test_a_damaged_file_is_said(tmp_path: Path, damaged: bytes) -> None:
    folder = text_model(tmp_path / "tiny")
    (folder / "config.json").write_bytes(damaged)
    with pytest.raises(EncoderUnavailable, match=r"file config\.json is damaged") as failure:
        files.describe(folder, "tiny")
    assert str(tmp_path) not in failure.value.message
