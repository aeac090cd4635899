"""Gives matplotlib the list of fonts that was made at installation; looking for them takes 100 ms. Runs inside."""

from __future__ import annotations

import os


def link_cache(packages: str) -> None:
    """Link the list that was shipped with `packages` to where matplotlib will look for it, if there is one."""
    shipped = f"{packages}/.matplotlib"
    folder = os.environ.get("MPLCONFIGDIR")
    if not folder or not os.path.isdir(shipped):  # noqa: PTH112 - pathlib costs milliseconds here
        return
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    for name in os.listdir(shipped):  # noqa: PTH208
        os.symlink(f"{shipped}/{name}", f"{folder}/{name}")  # noqa: PTH211
