"""Which files a run may see, and where they are: without a mount namespace everything stays in its place.

The jobs name places of the sandbox (`/opt/…`, `/workspace`, `/tmp`). Here these are turned into the real ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.bubblewrap import WORKSPACE
from tools_api.sandbox.interpreter import Interpreter
from tools_api.sandbox.landlock.kernel import OF_A_FILE, READ, Access
from tools_api.sandbox.outcome import ReadOnlyTree

TEMPORARY = "/tmp"  # noqa: S108 - what jobs call it

_SYSTEM = ("/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
# What an administrator installs by hand is nobody's business inside; so are kernel and package sources.
_HIDDEN_BELOW_USR = ("local", "src")
_DEVICES: Mapping[str, Access] = {
    "/dev/null": Access.READ_FILE | Access.WRITE_FILE,
    "/dev/zero": Access.READ_FILE | Access.WRITE_FILE,
    "/dev/full": Access.READ_FILE | Access.WRITE_FILE,
    "/dev/random": Access.READ_FILE,
    "/dev/urandom": Access.READ_FILE,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed with a file, or with a folder and all below it."""

    access: Access
    path: Path


def system_rules(interpreter: Interpreter) -> list[Rule]:
    """Allow to read the system's libraries and programs and the interpreter, and to use the harmless devices."""
    below_usr = [path for path in sorted(Path("/usr").iterdir()) if path.name not in _HIDDEN_BELOW_USR]
    folders = [path for path in (*map(Path, _SYSTEM), *below_usr) if path.is_dir() and not path.is_symlink()]
    devices = [Rule(access, Path(path)) for path, access in _DEVICES.items() if Path(path).exists()]
    places = Places(interpreter.trees)
    hidden = frozenset(Path(places.real(path)) for path in interpreter.hidden)
    return [
        *(Rule(READ, folder) for folder in folders),
        *devices,
        *(rule for tree in interpreter.trees for rule in _readable(tree.source, hidden)),
    ]


def tree_rules(trees: Iterable[ReadOnlyTree]) -> list[Rule]:
    """Allow to read what a job brings along."""
    return [rule for tree in trees for rule in _readable(tree.source, frozenset())]


def _readable(path: Path, hidden: frozenset[Path]) -> list[Rule]:
    """Allow to read all below `path` but what is hidden. Names of what is hidden can be listed."""
    if not path.is_dir():
        return [Rule(READ & OF_A_FILE, path)]
    if not any(other.is_relative_to(path) for other in hidden):
        return [Rule(READ, path)]
    children = [child for child in sorted(path.iterdir()) if child not in hidden and child.exists()]
    return [Rule(Access.READ_DIR, path), *(rule for child in children for rule in _readable(child, hidden))]


class Places:
    """Where the places that jobs name really are."""

    def __init__(self, trees: Sequence[ReadOnlyTree], folders: Mapping[str, Path] | None = None) -> None:
        places = {tree.target: str(tree.source) for tree in trees}
        places |= {name: str(path) for name, path in (folders or {}).items()}
        self._places = sorted(places.items(), key=lambda place: len(place[0]), reverse=True)

    def real(self, path: str) -> str:
        """Return where a path is; one that begins with no known place stays as it is."""
        for place, source in self._places:
            if path == place or path.startswith(f"{place}/"):
                return source + path[len(place) :]
        return path

    def real_list(self, paths: str) -> str:
        """Do the same for paths separated by colons, as in PATH."""
        return ":".join(map(self.real, paths.split(":")))


def run_places(trees: Sequence[ReadOnlyTree], workspace: Path, temporary: Path) -> Places:
    """Return the places of one run."""
    return Places(trees, {WORKSPACE: workspace, TEMPORARY: temporary})
