#!/usr/bin/env bash
# Resolve the dependencies of pyproject.toml into the lock files (hashes, all platforms). Needs uv on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { uv pip compile --universal --generate-hashes --no-header --no-annotate --quiet "$@"; }

# torch and what only its CUDA build needs (some GB) have locks of their own, so that a machine gets one build or the
# other: torch.lock is what the package index has, which on Linux is the CUDA build. torch-cpu.lock is written by hand.
own_lock="torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc
    nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse
    nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx"
without_torch=()
for name in $own_lock; do without_torch+=(--no-emit-package "$name"); done

lock pyproject.toml "${without_torch[@]}" -o deploy/locks/runtime.lock
lock pyproject.toml "${without_torch[@]}" --extra mlx -c deploy/locks/runtime.lock -o deploy/locks/mlx.lock
lock pyproject.toml "${without_torch[@]}" --extra wasi -c deploy/locks/runtime.lock -o deploy/locks/wasi.lock
lock pyproject.toml "${without_torch[@]}" --extra dev --extra mlx -c deploy/locks/runtime.lock -o deploy/locks/dev.lock
lock deploy/locks/torch.in -c deploy/locks/runtime.lock -o deploy/locks/torch.lock
lock pyproject.toml --extra training --extra dev --extra mlx -c deploy/locks/dev.lock -o deploy/locks/training.lock
# tokenizers asks for huggingface-hub to download models, which nobody does inside
lock deploy/locks/sandbox.in --excludes <(echo huggingface-hub) -o deploy/locks/sandbox.lock
lock deploy/locks/bench.in -o deploy/locks/bench.lock
