"""What running code in the sandbox costs, from start to result, beside a bare `python -c` of the same code.

    python -m tests.bench.sandbox [--runs 200] [--seconds 3600] [--at-once 32] [--all-paths]

Each round runs `print(1)`, a pandas one-liner and a plot by every path, one after the other, so that what else the
machine does meets all of them alike: `bare` (the interpreter of the sandbox with the same packages, no sandbox), `warm`
(a waiting fork, as a tools API has it by default), `http` (the same through `/v1/tools/python_coder/invoke`), and with
`--all-paths` also `forked` (a zygote and no waiting forks) and `cold` (bubblewrap starts everything). Goals: the median
of `print(1)` at or below the bare one's, pandas at least 15 times faster than bare, no failure at 32 at once, and less
than 250 MB of memory while nothing runs.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.gateway import free_port, process
from tools_api.python_coder import warm_profile
from tools_api.python_coder.runtime import ENV, SCRIPTS, trees_of
from tools_api.sandbox import Job, Sandbox, SandboxOptions, WarmProfile
from tools_api.sandbox.process_tree import descendants, proportional_bytes

PACKAGES = Path(sys.prefix) / "sandbox-packages"
KEY = "bench-" + "k" * 40
TASKS = {
    "print(1)": "print(1)",
    "pandas": "import pandas as pd; print(pd.DataFrame({'a': [1, 2, 1], 'b': [3, 4, 5]}).groupby('a').sum())",
    "plot": "import matplotlib.pyplot as plt; plt.plot([1, 4, 9, 16]); plt.savefig('plot.png')",
}
Run = Callable[[str], Awaitable[bool]]
"""Runs code and says whether it came to a good end."""


async def bare(code: str) -> bool:
    """Run it by an interpreter with the same packages, the list of fonts at hand, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        env = ENV | {"PYTHONPATH": str(PACKAGES), "MPLCONFIGDIR": str(PACKAGES / ".matplotlib"), "PATH": os.defpath}
        executable = getattr(sys, "_base_executable", sys.executable)
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(executable, "-c", code, env=env, cwd=folder, stdout=pipe)
        await child.communicate()
        return child.returncode == 0


def in_sandbox(sandbox: Sandbox) -> Run:
    async def run(code: str) -> bool:
        script = f"{SCRIPTS.target}/run_code.py"
        job = Job(script=script, payload=code.encode(), trees=trees_of(PACKAGES), env=ENV)
        return (await sandbox.run(job)).exit_code == 0

    return run


def over_http(client: aiohttp.ClientSession, port: int) -> Run:
    async def run(code: str) -> bool:
        url = f"http://127.0.0.1:{port}/v1/tools/python_coder/invoke"
        body = {"arguments": {"code": code}}
        async with client.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"}) as answer:
            return answer.status == 200 and bool((await answer.json())["ok"])

    return run


@contextlib.asynccontextmanager
async def started(warm: WarmProfile | None) -> AsyncGenerator[Sandbox]:
    """Start a sandbox and wait until its warm path stands."""
    sandbox = Sandbox(SandboxOptions(warm=warm))
    await sandbox.start()
    try:
        if not sandbox.report.available:
            raise SystemExit(f"no sandbox: {sandbox.report.reason}")
        while warm and not (sandbox.warm and sandbox.warm.ready and sandbox.warm.waiting == warm.workers):
            if sandbox.warm and sandbox.warm.reason:
                raise SystemExit(f"no warm path: {sandbox.warm.reason}")
            await asyncio.sleep(0.05)
        yield sandbox
    finally:
        await sandbox.aclose()


async def timed(run: Run, code: str) -> float:
    """Return how long it took, in milliseconds. A run that fails ends the bench."""
    start = time.perf_counter()
    if not await run(code):
        raise SystemExit(f"a run failed: {code}")
    return (time.perf_counter() - start) * 1000


async def compare(paths: dict[str, Run], runs: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Take turns: by task and path, the milliseconds of every run but those of the first two rounds."""
    times: dict[str, dict[str, list[float]]] = {task: {path: [] for path in paths} for task in TASKS}
    ends = time.monotonic() + seconds
    for number in range(runs + 2):
        if number > 2 and time.monotonic() > ends:
            break
        for task, code in TASKS.items():
            for path, run in paths.items():
                took = await timed(run, code)
                if number >= 2:
                    times[task][path].append(took)
    return times


async def together(run: Run, number: int) -> tuple[list[float], int]:
    """Run `print(1)` that often at once; return the milliseconds of each, and how many failed."""

    async def one() -> tuple[float, bool]:
        start = time.perf_counter()
        good = await run(TASKS["print(1)"])
        return (time.perf_counter() - start) * 1000, good

    results = await asyncio.gather(*(one() for _ in range(number)))
    return [took for took, _ in results], sum(not good for _, good in results)


def idle_bytes() -> int:
    """Add up the memory of the zygote's box and of what waits in it, each shared page divided by those who share it."""
    return sum(map(proportional_bytes, descendants(os.getpid())))


def percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def report(times: dict[str, dict[str, list[float]]]) -> None:
    print(f"{len(times['plot']['bare'])} runs each")
    print(f"{'':10} {'':8} {'p50 ms':>8} {'p99 ms':>8} {'bare / it':>10}")
    for task, by_path in times.items():
        reference = statistics.median(by_path["bare"])
        for path, values in by_path.items():
            median = statistics.median(values)
            print(f"{task:10} {path:8} {median:8.1f} {percentile(values, 99):8.1f} {reference / median:10.2f}")


@contextlib.asynccontextmanager
async def serving(workers: int) -> AsyncGenerator[Run]:
    """Start a tools API of its own and wait until a run over HTTP has everything that it waits for."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "DATA_DIR": folder,
            "TOOLS_PORT": str(port),
            "TOOLS_API_KEY": KEY,
            "SANDBOX_WARM_WORKERS": str(workers),
        }
        argv = [sys.executable, "-m", "tools_api"]
        with process(argv, port=port, path="/health", **environment):
            async with aiohttp.ClientSession() as client:
                run = over_http(client, port)
                preloaded = "import sys; assert 'matplotlib.pyplot' in sys.modules"
                while not await run(preloaded):
                    await asyncio.sleep(0.2)
                yield run


async def bench(options: argparse.Namespace) -> None:
    profile = warm_profile(PACKAGES, workers=options.workers, preload=True)
    if profile is None:
        raise SystemExit("--workers must be at least 1")
    async with contextlib.AsyncExitStack() as stack:
        warm = await stack.enter_async_context(started(profile))
        idle = idle_bytes()
        paths: dict[str, Run] = {"bare": bare, "warm": in_sandbox(warm)}
        paths["http"] = await stack.enter_async_context(serving(options.workers))
        if options.all_paths:
            forked = await stack.enter_async_context(started(replace(profile, workers=0)))
            cold = await stack.enter_async_context(started(None))
            paths |= {"forked": in_sandbox(forked), "cold": in_sandbox(cold)}
        report(await compare(paths, options.runs, options.seconds))
        crowd: dict[str, Any] = {path: await together(run, options.at_once) for path, run in paths.items()}
        for path, (values, failures) in crowd.items():
            print(f"{options.at_once} at once, {path}: p99 {percentile(values, 99):.0f} ms, {failures} failures")
        print(f"idle: {idle / 2**20:.0f} MB for the zygote and {options.workers} that wait (goal 250)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600, help="begin no further round after that")
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--all-paths", action="store_true")
    asyncio.run(bench(parser.parse_args()))


if __name__ == "__main__":
    main()
