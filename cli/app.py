"""The command line `twinport`: what it offers, and how errors look. Each command lives in its own file."""

from typing import Annotated

import typer

from cli import chat, doctor, models, rag, serve, terminal, user
from shared.errors import TwinportError

app = typer.Typer(
    name="twinport",
    help="A self-hosted LLM platform: an OpenAI-compatible API with agents, and the tools they use.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.add_typer(user.app, name="user")
app.add_typer(models.app, name="models")
app.command("chat")(chat.chat)
app.add_typer(rag.app, name="rag")
app.command("doctor")(doctor.doctor)


@app.command("env-example", hidden=True)
def _env_example() -> None:  # pyright: ignore[reportUnusedFunction] - typer calls it
    """Print `.env.example`."""
    from cli.settings_text import env_example

    print(env_example(), end="")


@app.command("settings-table", hidden=True)
def _settings_table() -> None:  # pyright: ignore[reportUnusedFunction] - typer calls it
    """Print the settings as Markdown tables for the README."""
    from cli.settings_text import settings_table

    print(settings_table(), end="")


def _print_version(wanted: bool) -> None:
    if wanted:
        terminal.out.print(f"twinport {terminal.version()}")
        raise typer.Exit


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction] - typer calls it
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line; what can go wrong becomes one line and an exit status of 1, or 2 for a wrong setting."""
    try:
        app(prog_name="twinport")
    except TwinportError as error:
        terminal.fail(error.message)
