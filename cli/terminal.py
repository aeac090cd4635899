"""What every command shares: the consoles, the version, and errors as one line."""

import tomllib
from pathlib import Path
from typing import NoReturn

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def fail(sentence: str, *, status: int = 1) -> NoReturn:
    """Say what is wrong on stderr and end the program."""
    err.print("[red]error:[/red]", end=" ")
    err.print(sentence, markup=False, soft_wrap=True)
    raise SystemExit(status)


def version() -> str:
    """Return the version of this copy, from its pyproject.toml: nothing is pip-installed."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]["version"]


def launcher() -> str:
    """Return how the command line is called from the folder that we are in."""
    return "./twinport" if Path.cwd() == ROOT else str(ROOT / "twinport")
