#!/usr/bin/env bash
# Resolve the dependencies of pyproject.toml into the lock files (hashes, all platforms). Needs uv on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { uv pip compile --universal --generate-hashes --no-header --no-annotate --quiet "$@"; }
lock pyproject.toml -o deploy/locks/runtime.lock
lock pyproject.toml --extra mlx -c deploy/locks/runtime.lock -o deploy/locks/mlx.lock
lock pyproject.toml --extra wasi -c deploy/locks/runtime.lock -o deploy/locks/wasi.lock
lock pyproject.toml --extra dev --extra mlx -c deploy/locks/runtime.lock -o deploy/locks/dev.lock
# For Linux this locks the CUDA build of torch and NVIDIA's libraries, some GB. On a machine without such a GPU the CPU
# build of the same version (`2.13.0+cpu`) trains and exports alike; it is not on the package index, so no lock names it.
lock pyproject.toml --extra training --extra dev --extra mlx -c deploy/locks/dev.lock -o deploy/locks/training.lock
lock deploy/locks/sandbox.in -o deploy/locks/sandbox.lock
lock deploy/locks/bench.in -o deploy/locks/bench.lock
