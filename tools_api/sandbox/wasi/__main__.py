"""`python -m tools_api.sandbox.wasi build TARGET`: build CPython on WASI, or do nothing if it is up to date."""

import argparse
import sys
from pathlib import Path

from tools_api.sandbox.wasi.build import BuildFailed, build


def main() -> int:
    """Build from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools_api.sandbox.wasi", description=__doc__)
    parser.add_argument("command", choices=["build"])
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    try:
        changed = build(arguments.target)
    except BuildFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(f"CPython on WASI: {'built' if changed else 'up to date'} in {arguments.target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
