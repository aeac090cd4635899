"""Evaluate a GGUF file from the command line.

python -m main_api.bundled_model.evaluation --model FILE.gguf [--set everyday] [--skill calls] [--out FOLDER]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from main_api.backends.gguf import NotGguf
from main_api.backends.local_models import BUNDLED_PATH
from main_api.bundled_model.evaluation.evaluate import evaluate
from main_api.bundled_model.evaluation.sets import BadSet
from main_api.bundled_model.evaluation.skills import SKILLS
from shared.errors import TwinportError
from shared.logging import configure_logging

_SETS: Final = Path(__file__).parents[3] / "tests" / "bundled_model" / "sets"
_MISSED: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; with `--out` write them with their failures too. Returns 0, 1 for an error, or with
    `--strict` 3 for a goal that was missed."""
    options = _parser().parse_args(arguments)
    folders = [_folder(name) for name in options.set] or sorted(path for path in _SETS.iterdir() if path.is_dir())
    try:
        report = evaluate(
            options.model,
            folders,
            skills=options.skill or tuple(SKILLS),
            slots=options.slots,
            threads=options.threads,
            tell=lambda line: _say(line, sys.stderr),
        )
    except (BadSet, NotGguf, OSError, TwinportError) as error:
        _say(str(error), sys.stderr)
        return 1
    _say(report.as_table(), sys.stdout)
    if options.out:
        report.write(options.out)
    return _MISSED if options.strict and report.missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=BUNDLED_PATH, help="the GGUF file; the shipped one if left out")
    parser.add_argument("--set", action="append", default=[], help="a set by name, or a folder; all if left out")
    parser.add_argument("--skill", action="append", default=[], choices=list(SKILLS), help="only this skill")
    parser.add_argument("--slots", type=int, default=8, help="requests that run at once")
    parser.add_argument("--threads", type=int, help="threads of the engine; the product's choice if left out")
    parser.add_argument("--out", type=Path, help="a folder for evaluation.md and evaluation.json")
    parser.add_argument("--strict", action="store_true", help=f"end with {_MISSED} when a goal is missed")
    return parser


def _folder(name: str) -> Path:
    return _SETS / name if (_SETS / name).is_dir() else Path(name)


def _say(line: str, to: TextIO) -> None:
    to.write(f"{line}\n")
    to.flush()


def configured_main(arguments: Sequence[str] | None = None) -> int:
    """Do `main` in a process of its own, in which only warnings are logged."""
    configure_logging(service="evaluation", level="warning")
    return main(arguments)


if __name__ == "__main__":
    sys.exit(configured_main())
