"""The command line of the bundled model, `python -m main_api.bundled_model`: from its corpus to the shipped file."""

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

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
    folder: _Folder = Path("data/bundled-model"),
    size: Annotated[str, typer.Option(help="`cpu`: 6 layers, an hour on two cores; `gpu`: 8 wider ones")] = "cpu",
    tokens: Annotated[int | None, typer.Option(help="How many tokens to read in all")] = None,
    seed: int = 1,
) -> None:
    """Train, or go on where the folder's last checkpoint stopped. Ctrl-C saves and stops."""
    from main_api.bundled_model.training.presets import options_for
    from main_api.bundled_model.training.trainer import Trainer

    options = options_for(size, folder=folder, seed=seed, tokens=tokens)
    folder.mkdir(parents=True, exist_ok=True)
    if not options.tokenizer.exists():
        from main_api.bundled_model.tokenizer import learn
        from main_api.bundled_model.tokenizer import save as save_tokenizer

        typer.echo("Learning the tokenizer …")
        save_tokenizer(learn(seed, size=options.shape.vocabulary), options.tokenizer)
    trainer = Trainer(options)
    if checkpoint := trainer.latest():
        typer.echo(f"Going on from {checkpoint.name}.")
        trainer.resume(checkpoint)
    trainer.run()


if __name__ == "__main__":
    app()
