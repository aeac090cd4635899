"""What `/v1/chat/completions` costs: Twinport beside a bare pass-through and the LiteLLM proxy, in the same run.

    python -m tests.bench.gateway [--seconds 5] [--connections 32] [--without-litellm]

All three forward to the same static local server with one worker each. Twinport runs with its defaults: API key, rate
limits, usage records and the prompt log are on. LiteLLM runs from `.venv/bench` (made from deploy/locks/bench.lock on
first use) with a master key. Goals: at least 20 times LiteLLM's throughput, 30 % of the bare pass-through's, and under
120 MB of resident memory for the main API.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import orjson
import psutil

ROOT = Path(__file__).resolve().parents[2]
BENCH_VENV = ROOT / ".venv" / "bench"
CHAT = {"model": "static", "messages": [{"role": "user", "content": "Hello!"}]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(
    argv: list[str], *, port: int, path: str = "/", **environment: str
) -> Generator[psutil.Process, None, None]:
    """Run a server until the block ends; wait until it answers on `port` with anything."""
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
    child = subprocess.Popen(argv, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while not _answers(port, path):
            if child.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise SystemExit(f"{argv} did not start:\n{log.read().decode(errors='replace')[-3000:]}")
            time.sleep(0.1)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(20)


def _answers(port: int, path: str) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def load(
    port: int, *, connections: int, seconds: float, key: str = "", body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Load `/v1/chat/completions` on `port` from another process and return its report."""
    payload = orjson.dumps(body or CHAT)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {key}\r\n" if key else ""
    request = f"{head}content-length: {len(payload)}\r\n\r\n".encode() + payload
    argv = [sys.executable, "-m", "tests.bench.load", "127.0.0.1", str(port), str(connections), str(seconds)]
    done = subprocess.run(argv, input=request, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return orjson.loads(done.stdout)


def litellm_python() -> Path:
    python = BENCH_VENV / "bin" / "python"
    if not (BENCH_VENV / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(BENCH_VENV)], check=True)
        lock = str(ROOT / "deploy/locks/bench.lock")
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--require-hashes", "-r", lock], check=True)
    return python


@contextlib.contextmanager
def twinport(upstream: int, folder: Path) -> Generator[tuple[int, str, psutil.Process], None, None]:
    """Start the main API alone, make an account and a key, and yield port, key and process."""
    port = free_port()
    environment = {
        "DATA_DIR": str(folder),
        "MAIN_API_PORT": str(port),
        "TOOLS_PORT": str(free_port()),
        "OPENAI_COMPATIBLE_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
        "LLM_BACKEND": "openai_compatible",
        "API_KEY_REQUESTS_PER_MINUTE": "100000000",
    }
    with process([sys.executable, "-m", "main_api"], port=port, path="/health", **environment) as main_api:
        _post(port, "/api/auth/signup", {"username": "bench", "password": "password123"})
        token = _post(port, "/api/auth/login", {"username": "bench", "password": "password123"})["access_token"]
        key = _post(port, "/api/auth/api-keys", {"keyName": "bench"}, token)["data"]["apiKey"]
        yield port, key, main_api


def _post(port: int, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", orjson.dumps(body), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return orjson.loads(answer.read())


@contextlib.contextmanager
def litellm_proxy(upstream: int, folder: Path) -> Generator[tuple[int, str], None, None]:
    port, key = free_port(), "sk-bench-0123456789"
    config = folder / "litellm.json"
    params = {"model": "openai/static", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    config.write_bytes(orjson.dumps({"model_list": [{"model_name": "static", "litellm_params": params}]}))
    argv = [
        str(litellm_python().parent / "litellm"),
        "--config",
        str(config),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key, "LITELLM_LOG": "ERROR"}
    with process(argv, port=port, path="/health/liveliness", **environment):
        yield port, key


def measure(port: int, key: str, options: argparse.Namespace) -> dict[str, Any]:
    busy = load(port, connections=options.connections, seconds=options.seconds, key=key)
    alone = load(port, connections=1, seconds=options.seconds / 2, key=key)
    if busy["failures"] or alone["failures"]:
        raise SystemExit(f"answers that were not 200: {busy['failures'] + alone['failures']}")
    return busy | {"alone_p50_ms": alone["p50_ms"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--without-litellm", action="store_true")
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    upstream, bare = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(
            process([sys.executable, "-m", "tests.bench.static_upstream", str(upstream)], port=upstream)
        )
        results["upstream"] = measure(upstream, "", options)
        url = f"http://127.0.0.1:{upstream}/v1/chat/completions"
        with process([sys.executable, "-m", "tests.bench.bare_gateway", str(bare), url], port=bare):
            results["bare"] = measure(bare, "", options)
        with twinport(upstream, folder) as (port, key, main_api):
            results["twinport"] = measure(port, key, options)
            memory = main_api.memory_info().rss / 2**20
        if not options.without_litellm:
            with litellm_proxy(upstream, folder) as (port, key):
                results["litellm"] = measure(port, key, options)
    report(results, memory)


def report(results: dict[str, dict[str, Any]], memory: float) -> None:
    direct = results["upstream"]["alone_p50_ms"]
    print(f"{'':10} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'added ms, alone':>16}")
    for name, row in results.items():
        added = row["alone_p50_ms"] - direct
        print(f"{name:10} {row['per_second']:10.0f} {row['p50_ms']:8.2f} {row['p99_ms']:8.2f} {added:16.3f}")
    ours = results["twinport"]["per_second"]
    print(f"twinport / bare pass-through: {ours / results['bare']['per_second']:.2f} (goal 0.30)")
    if "litellm" in results:
        print(f"twinport / litellm: {ours / results['litellm']['per_second']:.1f} (goal 20)")
    print(f"resident memory of the main API after the load: {memory:.0f} MB (goal 120)")


if __name__ == "__main__":
    main()
