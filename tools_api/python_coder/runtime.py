"""What code finds inside the sandbox: our scripts, the packages, the environment; and which of it waits imported."""

from pathlib import Path

from tools_api.sandbox import ReadOnlyTree, WarmProfile
from tools_api.sandbox.packages import installed_names

SCRIPTS = ReadOnlyTree(Path(__file__).parent / "inside", "/opt/python_coder")
_PACKAGES = "/opt/packages"
ENV = {
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp/.matplotlib",  # noqa: S108 - the sandbox's own
    "OPENBLAS_NUM_THREADS": "1",  # each thread reserves address space that RLIMIT_AS counts
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": _PACKAGES,  # for interpreters that the code starts itself
    "PYTHONDONTWRITEBYTECODE": "1",
}


def trees_of(packages: Path | None) -> tuple[ReadOnlyTree, ...]:
    """Return what a run sees beside the interpreter, with `packages` as `tools_api.sandbox.packages` made them."""
    if packages is None or not installed_names(packages):
        return (SCRIPTS,)
    return SCRIPTS, ReadOnlyTree(packages, _PACKAGES, native=True)


def warm_profile(packages: Path | None, *, workers: int, preload: bool) -> WarmProfile | None:
    """Say which sandboxes wait for `python_coder`; None for no warm path at all."""
    if workers == 0:
        return None
    script = f"{SCRIPTS.target}/preload.py" if preload else None
    return WarmProfile(workers=workers, trees=trees_of(packages), env=ENV, preload=script)
