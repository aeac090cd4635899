"""What a run at the level `wasi` costs, against a bare interpreter in the same minutes. A program, not a test.

    .venv/bin/python -m tests.bench.wasi [RUNS]

The two take turns, so that a busy machine is busy for both. Start to answer in milliseconds; `print(1)`, the standard
library, and work that takes processor time; then 32 at once, and the memory of the server that runs are forked from.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tools_api.invoke.tool import ToolCall
from tools_api.python_coder import PythonCoder, PythonCoderOptions
from tools_api.sandbox import Sandbox, SandboxOptions

CASES = {
    "print(1)": "print(1)",
    "csv, json, statistics": "import csv, json, statistics; print(json.dumps(statistics.mean([1, 2, 3])))",
    "sum of 300 000 squares": "print(sum(n * n for n in range(300_000)))",
}
AT_ONCE = 32


async def main(runs: int) -> None:
    """Measure and print."""
    artefact = Path(sys.prefix) / "sandbox-wasi"
    sandbox = Sandbox(SandboxOptions(levels=("wasi",), wasi_artefact=artefact))
    started = time.perf_counter()
    await sandbox.start()
    if not sandbox.report.available:
        raise SystemExit(sandbox.report.reason)
    print(f"start with self-test: {(time.perf_counter() - started) * 1000:.0f} ms; {runs} runs each, ms")
    tool = PythonCoder(sandbox, PythonCoderOptions())
    try:
        with TemporaryDirectory() as name:
            await _measure(tool, Path(name), runs)
    finally:
        await sandbox.aclose()


async def _measure(tool: PythonCoder, workspace: Path, runs: int) -> None:
    for name, code in CASES.items():
        await _compare(name, lambda code=code: _in_sandbox(tool, workspace, code), lambda code=code: _bare(code), runs)
    await _at_once(tool, workspace)
    _print_memory()


async def _compare(name: str, ours: Callable[[], Awaitable[None]], bare: Callable[[], Awaitable[None]], n: int) -> None:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(n):
        for run, kept in zip((ours, bare), times, strict=True):
            started = time.perf_counter()
            await run()
            kept.append((time.perf_counter() - started) * 1000)
    print(f"{name:24} wasi {_figures(times[0])}   bare {_figures(times[1])}")


async def _in_sandbox(tool: PythonCoder, workspace: Path, code: str) -> None:
    call = ToolCall(arguments={"code": code}, workspace=workspace, timeout_s=60, caller="bench")
    output = await tool.run(call)
    if output.error:
        raise SystemExit(output.error.message)


async def _bare(code: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", code, stdout=asyncio.subprocess.PIPE)
    await process.communicate()


async def _at_once(tool: PythonCoder, workspace: Path) -> None:
    started = time.perf_counter()
    took: list[float] = []

    async def one() -> None:
        await _in_sandbox(tool, workspace, "print(1)")
        took.append((time.perf_counter() - started) * 1000)

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    print(f"{AT_ONCE} at once: all done in {max(took):.0f} ms, {AT_ONCE / max(took) * 1000:.0f} runs/s")


def _print_memory() -> None:
    for process in psutil.Process().children():
        if any("wasi/child/server.py" in word for word in process.cmdline()):
            memory = process.memory_full_info()
            print(
                f"server: {memory.rss >> 20} MB resident, {getattr(memory, 'pss', memory.uss) >> 20} MB its own share"
            )


def _figures(times: list[float]) -> str:
    ordered = sorted(times)
    return f"min {ordered[0]:6.1f}  p50 {statistics.median(ordered):6.1f}  p99 {ordered[int(len(ordered) * 0.99)]:6.1f}"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
