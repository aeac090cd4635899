"""The command line of the bundled model, `python -m main_api.bundled_model`: from its corpus to the shipped file."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from main_api.bundled_model.training.trainer import Options

DEFAULT_FOLDER = Path("data/bundled-model")
app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_Folder = Annotated[Path, typer.Option(help="Where the checkpoints, the curve and the exported files lie")]


@app.command()
def sample(
    seed: int = 1,
    count: int = 3,
    skill: Annotated[str | None, typer.Option(help="Only this skill")] = None,
) -> None:
    """Print conversations of the corpus as the model reads them."""
    from main_api.bundled_model.corpus.conversation import segments
    from main_api.bundled_model.corpus.mixture import conversations

    for conversation in islice(conversations(seed, only=skill), count):
        typer.echo(f"--- {conversation.skill}")
        for text, learned in segments(conversation):
            typer.secho(text, nl=False, fg="green" if learned else None)


@app.command()
def train(
    folder: _Folder = DEFAULT_FOLDER,
    size: Annotated[str, typer.Option(help="`cpu`: 6 layers, for two cores; `gpu`: 8 wider ones")] = "cpu",
    tokens: Annotated[int | None, typer.Option(help="How many tokens to read in all")] = None,
    seed: int = 1,
    begin_with: Annotated[Path | None, typer.Option("--from", help="Begin with the weights of this GGUF file")] = None,
) -> None:
    """Train, or go on where the folder's last checkpoint stopped. Ctrl-C saves and stops."""
    from main_api.bundled_model.training.presets import options_for
    from main_api.bundled_model.training.trainer import Trainer

    folder.mkdir(parents=True, exist_ok=True)
    if begin_with is not None:
        options = _begun_with(begin_with, options_for(size, folder=folder, seed=seed, tokens=tokens))
    else:
        options = options_for(size, folder=folder, seed=seed, tokens=tokens)
        _learn_tokenizer(options.tokenizer, seed, options.shape.vocabulary)
    trainer = Trainer(options)
    if checkpoint := trainer.latest():
        typer.echo(f"Going on from {checkpoint.name}.")
        trainer.resume(checkpoint)
    trainer.run()


@app.command()
def export(
    folder: _Folder = DEFAULT_FOLDER,
    checkpoint: Annotated[str, typer.Option(help="Which one: final.pt, steady.pt or last.pt")] = "final.pt",
    version: str = "1",
    trained_on: Annotated[str, typer.Option(help="The machine and the time, in words, for the card")] = "",
    ship: Annotated[bool, typer.Option(help="Put the file, its card and its figures where the product looks")] = False,
) -> None:
    """Write the GGUF files and the Hugging Face folder, with the card and the figures that are known so far."""
    from main_api.bundled_model.export import shipping

    for path in shipping.export(folder, source=checkpoint, version=version, trained_on=trained_on):
        typer.echo(f"{path}  {path.stat().st_size:,} bytes" if path.is_file() else str(path))
    if ship:
        shipping.ship(folder)


@app.command()
def check(folder: _Folder = DEFAULT_FOLDER, checkpoint: str = "final.pt") -> None:
    """Prove that llama.cpp and MLX answer as the network does, token by token."""
    import asyncio

    from main_api.bundled_model.export import shipping

    measures = asyncio.run(shipping.check(folder, checkpoint))
    for measure in measures:
        typer.echo(f"{measure.name}: {measure.count} of {measure.of}")
        for failure in measure.failures[:3]:
            typer.echo(f"  {failure}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def evaluate(context: typer.Context) -> None:
    """Ask a GGUF file the hand-written requests, in the product's engine; `evaluate --help` lists the options."""
    from main_api.bundled_model.evaluation.__main__ import configured_main

    raise typer.Exit(configured_main(context.args))


def _learn_tokenizer(path: Path, seed: int, size: int) -> None:
    from main_api.bundled_model import tokenizer

    if not path.exists():
        typer.echo("Learning the tokenizer …")
        tokenizer.save(tokenizer.learn(seed, size=size), path)


def _begun_with(gguf: Path, options: "Options") -> "Options":
    """Return the options for the sizes of a file, whose weights are made the first checkpoint of an empty folder."""
    from dataclasses import replace

    from main_api.bundled_model.export import checkpoint, from_gguf
    from main_api.bundled_model.training.network import Shape

    model = from_gguf.read(gguf)
    if not options.tokenizer.exists():
        checkpoint.write(model, options.folder)
    return replace(options, shape=Shape(**model.sizes.as_dict()))


if __name__ == "__main__":
    app()
