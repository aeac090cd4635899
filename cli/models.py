"""`twinport models …`: the GGUF files of this installation."""

from typing import Annotated

import typer

app = typer.Typer(help="List, fetch and remove models (GGUF files).", no_args_is_help=True)


@app.command("list")
def list_models() -> None:
    """List the models that are here."""
    from rich.table import Table

    from cli import terminal
    from cli.model_files import ModelFiles
    from cli.settings import read_settings
    from main_api.backends.local_models import BUNDLED_ADVICE

    table = Table("model", "size", "", box=None, pad_edge=False)
    models = ModelFiles(read_settings()).all()
    for model in models:
        remark = model.problem or ("small, built in (bundled)" if model.is_bundled else "")
        table.add_row(f"local/{model.name}", _size(model.size_bytes), remark)
    terminal.out.print(table)
    if all(model.is_bundled for model in models):
        terminal.err.print(BUNDLED_ADVICE, style="dim", soft_wrap=True)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A URL, or a name on Hugging Face: org/repo, org/repo:Q4_K_M.")],
    *,
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="The SHA-256 that the file must have; another is thrown away.")
    ] = None,
) -> None:
    """Download a model; Ctrl-C keeps what is there, and the same command goes on."""
    from cli import terminal
    from cli.model_files import ModelFiles
    from cli.settings import read_settings

    try:
        model = ModelFiles(read_settings()).pull(name, sha256=sha256)
    except KeyboardInterrupt:
        terminal.err.print("Stopped. The same command goes on where it stopped.")
        raise SystemExit(130) from None
    if model.problem:
        terminal.fail(f"Fetched {model.name}, but it cannot be used: {model.problem}")
    terminal.out.print(f"local/{model.name} is here ({_size(model.size_bytes)}).", markup=False, soft_wrap=True)


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The model, as `models list` names it.")]) -> None:
    """Delete a model, or what an unfinished pull of it left."""
    from cli import terminal
    from cli.model_files import ModelFiles
    from cli.settings import read_settings

    removed = ModelFiles(read_settings()).remove(name)
    what = removed.name if removed.complete else f"the unfinished pull of {removed.name}"
    terminal.out.print(f"Removed {what}; {_size(removed.size_bytes)} are free again.", markup=False)


def _size(size: int) -> str:
    """Write bytes the way that model sizes are told, in units of 1000."""
    value, unit = float(size), "B"
    for bigger in ("KB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, bigger
    return f"{value:.0f} {unit}" if unit in {"B", "KB"} else f"{value:.1f} {unit}"
