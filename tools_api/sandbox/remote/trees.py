"""Whether two machines have the same scripts: a digest of names and contents, the same wherever they lie."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tools_api.sandbox.outcome import ReadOnlyTree
from tools_api.sandbox.remote.wire import TreeName


def tree_names(trees: Iterable[ReadOnlyTree]) -> tuple[TreeName, ...]:
    """Name trees for a runner; only scripts have a version. Raises `OSError`."""
    return tuple(
        TreeName(target=tree.target, version=None if tree.native else version_of(tree.source)) for tree in trees
    )


def version_of(source: Path) -> str:
    """Return the digest of a script, or of all scripts of a folder."""
    digest = hashlib.sha256()
    for path in [source] if source.is_file() else sorted(source.rglob("*.py")):
        content = path.read_bytes()
        name = "" if path == source else path.relative_to(source).as_posix()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"
