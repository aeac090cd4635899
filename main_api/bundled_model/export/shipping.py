"""The files that people get: exported from a checkpoint with what is known of them, and put where the product looks."""

import shutil
from pathlib import Path

from main_api.backends.local_models import BUNDLED_PATH
from main_api.bundled_model.export import card, checkpoint, gguf_file, safetensors_folder
from main_api.bundled_model.export.card import Figures, Measure
from main_api.bundled_model.export.checks import all_checks
from main_api.bundled_model.export.gguf_file import Precision
from main_api.bundled_model.export.model import Model
from main_api.bundled_model.tokenizer import load

_ROOT = Path(__file__).parents[3]
_CARD, _FIGURES, _PROOFS = "README.md", "FIGURES.md", "proofs.json"


def export(folder: Path, *, source: str, version: str, trained_on: str) -> list[Path]:
    """Write what `folder` has come to below `folder/export` and return the paths. The card and the figures hold the
    evaluation (`folder/evaluation`) and the proofs (`check`) where they have been run."""
    model = _model(folder, source)
    figures = _figures(folder, model, source, version=version, trained_on=trained_on)
    out = folder / "export"
    out.mkdir(exist_ok=True)
    shipped = out / BUNDLED_PATH.name
    gguf_file.write(model, shipped, Precision.Q8_0, figures)
    exact = out / f"{BUNDLED_PATH.stem}-f16.gguf"
    gguf_file.write(model, exact, Precision.F16, figures)
    hugging_face = safetensors_folder.write(model, out / "hugging-face", figures)
    (out / _CARD).write_text(card.card_text(figures), encoding="utf-8")
    (out / _FIGURES).write_text(card.figures_text(figures, shipped), encoding="utf-8")
    return [shipped, exact, hugging_face, out / _CARD, out / _FIGURES]


def ship(folder: Path) -> None:
    """Put the exported file, its card and its figures where the product looks."""
    for name in (BUNDLED_PATH.name, _CARD, _FIGURES):
        shutil.copyfile(folder / "export" / name, BUNDLED_PATH.with_name(name))


async def check(folder: Path, source: str) -> list[Measure]:
    """Run all proofs, and keep them for the figures."""
    model = _model(folder, source)
    measures = await all_checks(model)
    kept = Figures(version="", parameters=0, sizes=model.sizes, training_tokens=0, seed=0, proofs=measures)
    (folder / _PROOFS).write_text(card.as_json(kept), encoding="utf-8")
    return measures


def _model(folder: Path, name: str) -> Model:
    return checkpoint.read(folder / name, load(folder / "tokenizer.json"))


def _figures(folder: Path, model: Model, name: str, *, version: str, trained_on: str) -> Figures:
    evaluation, proofs, curve = folder / "evaluation" / "evaluation.json", folder / _PROOFS, folder / "curve.jsonl"
    return Figures(
        version=version,
        parameters=model.parameters,
        sizes=model.sizes,
        training_tokens=checkpoint.tokens_read(folder / name),
        seed=checkpoint.seed_of(folder / name),
        trained_on=trained_on,
        licence=card.licence_of(_ROOT / "pyproject.toml"),
        measures=card.measures_of(evaluation) if evaluation.exists() else (),
        proofs=card.from_json(proofs.read_text(encoding="utf-8")).proofs if proofs.exists() else (),
        curve=card.curve_of(curve) if curve.exists() else (),
    )
