"""Which Python runs inside, and what of the host must be visible for it.

It is the interpreter that runs the service (its base, never its virtual environment: no package of ours is visible
inside), so that wheels installed for the one fit the other. Outside /usr, as under pyenv, uv, conda or a home folder,
it appears at /opt/python, and its own site-packages are hidden.
"""

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.outcome import ReadOnlyTree

INSIDE_PREFIX = "/opt/python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python as seen from inside: its path, the trees it needs, and folders there that are hidden."""

    version: str
    executable: str
    trees: tuple[ReadOnlyTree, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """Start it isolated: no environment variables, no user site, no site-packages."""
        return (self.executable, "-I", "-S")

    @property
    def env(self) -> dict[str, str]:
        """Let a relocated interpreter find its libpython."""
        return {"LD_LIBRARY_PATH": f"{INSIDE_PREFIX}/lib"} if self.trees else {}


def own_interpreter() -> Interpreter:
    """Describe the interpreter that runs us."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    return describe(prefix=Path(sys.base_prefix).resolve(), executable=executable, version=version)


def describe(*, prefix: Path, executable: Path, version: str) -> Interpreter:
    """Describe the interpreter at `executable`, installed in `prefix`."""
    if prefix == Path("/usr"):
        return Interpreter(version=version, executable=str(executable))
    name = f"python{version}"
    library_folders = ["lib"] if sys.platlibdir == "lib" else ["lib", sys.platlibdir]
    folders = [folder for folder in library_folders if (prefix / folder).is_dir()]
    trees = [ReadOnlyTree(prefix / folder, f"{INSIDE_PREFIX}/{folder}") for folder in folders]
    hidden = [f"{folder}/{name}/site-packages" for folder in folders]
    return Interpreter(
        version=version,
        executable=f"{INSIDE_PREFIX}/bin/{name}",
        trees=(*trees, ReadOnlyTree(executable, f"{INSIDE_PREFIX}/bin/{name}")),
        hidden=tuple(f"{INSIDE_PREFIX}/{path}" for path in hidden if (prefix / path).is_dir()),
    )


def abi_tag() -> str:
    """Name the interpreter's binary interface, for folders of compiled packages."""
    return f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
