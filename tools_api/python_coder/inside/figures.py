"""Saves matplotlib's figures as PNG files though the code never asks for it. Runs inside the sandbox.

Patches pyplot when it is imported, or at once if it has been: `show()` saves the open figures and closes them, as a
notebook does; a figure that the code saves into its workspace itself is not saved again.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

_saved_by_the_code: set[int] = set()


class _PyplotFinder:
    """Finds `matplotlib.pyplot` as usual and patches it when it has been executed."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name != "matplotlib.pyplot":
            return None
        sys.meta_path.remove(_PyplotFinder)  # type: ignore[arg-type]
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                _patch_after(spec.loader)
                return spec
        return None


def watch() -> None:
    """Patch pyplot, now or as soon as someone imports it. May be called again."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        _patch(pyplot)
    elif _PyplotFinder not in sys.meta_path:
        sys.meta_path.insert(0, _PyplotFinder)  # type: ignore[arg-type]


def save_open() -> None:
    """Save all open figures that the code has not saved itself, and close them."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        if id(figure) not in _saved_by_the_code and figure.get_axes():
            figure.savefig(_free_name(), bbox_inches="tight")
        pyplot.close(figure)
        _saved_by_the_code.discard(id(figure))


def _patch_after(loader: Any) -> None:
    execute: Callable[[ModuleType], None] = loader.exec_module

    def exec_module(module: Any) -> None:
        execute(module)
        _patch(module)

    loader.exec_module = exec_module


def _patch(pyplot: Any) -> None:
    if pyplot.show is not _show:
        pyplot.show = _show
        _patch_savefig(pyplot.Figure)


def _show(*_args: object, **_options: object) -> None:
    save_open()


def _patch_savefig(figure_class: Any) -> None:
    savefig = figure_class.savefig

    def wrapper(self: Any, fname: Any, **options: Any) -> Any:
        result = savefig(self, fname, **options)
        if isinstance(fname, (str, os.PathLike)) and _in_workspace(os.fspath(fname)):  # type: ignore[arg-type]
            _saved_by_the_code.add(id(self))
        return result

    wrapper.__doc__ = savefig.__doc__
    figure_class.savefig = wrapper


def _in_workspace(path: Any) -> bool:
    return os.path.abspath(path).startswith(f"{os.getcwd()}/")  # noqa: PTH100, PTH109


def _free_name() -> str:
    number = 1
    while os.path.lexists(f"figure_{number}.png"):
        number += 1
    return f"figure_{number}.png"
