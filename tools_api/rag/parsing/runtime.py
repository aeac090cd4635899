"""What a parse finds inside the sandbox: our scripts, the packages, the environment."""

from pathlib import Path

from tools_api.rag.parsing.values import Bounds
from tools_api.sandbox import Limits, ReadOnlyTree

SCRIPTS = ReadOnlyTree(Path(__file__).parent / "inside", "/opt/rag_parsing")
PARSE = f"{SCRIPTS.target}/run.py"
UNZIP = f"{SCRIPTS.target}/unzip.py"
FILES_A_RUN = 64
BYTES_A_RUN = 16 << 20
_PACKAGES = "/opt/packages"
_MIB = 1 << 20
_START_S = 10.0

ENV = {
    "OMP_THREAD_LIMIT": "1",  # tesseract's threads count as processes, and make it slower
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def trees_of(packages: Path | None) -> tuple[ReadOnlyTree, ...]:
    """Return what a run sees beside the interpreter, with `packages` as `tools_api.sandbox.packages` made them."""
    if packages is None or not packages.is_dir():
        return (SCRIPTS,)
    return SCRIPTS, ReadOnlyTree(packages, _PACKAGES, native=True)


def limits_of(bounds: Bounds) -> Limits:
    """Return what a run of many files may use; each file's own time is kept by who reads the results."""
    room = max(bounds.file_bytes, BYTES_A_RUN) + 64 * _MIB
    wall_s = FILES_A_RUN * bounds.timeout_s + _START_S
    return Limits(
        wall_s=wall_s,
        cpu_s=wall_s,
        memory_bytes=bounds.memory_bytes + room,  # what lies in the workspace is memory too
        workspace_bytes=room,
        scratch_bytes=64 * _MIB,
        file_bytes=room,
        processes=32,
        output_bytes=max(32 * _MIB, 10 * bounds.characters),
        max_files=64,
        max_file_bytes=room,
        input_bytes=room,
    )
