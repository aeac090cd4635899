"""What an encoder is made of, as the composition root knows it from the settings."""

import os
from dataclasses import dataclass
from pathlib import Path

_MOST_THREADS = 8
"""Small models get no faster with more, and this machine has other work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """An OpenAI-compatible API: `url` ends before `/embeddings`. `dimensions` are asked for if given."""

    url: str
    api_key: str | None = None
    dimensions: int | None = None
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions:
    """`model` is a name or a folder. With `remote` that API makes the vectors; `rerank_model` is a local one always.

    Without `preload` the models are loaded by the first call that needs them.
    """

    model: str
    downloads: Path
    rerank_model: str | None = None
    threads: int | None = None
    device: str | None = None
    hub_url: str | None = None
    preload: bool = True
    remote: RemoteOptions | None = None


def thread_count(options: EncoderOptions) -> int:
    """Return how many threads compute: as many as this process may run on, up to eight, unless the options say."""
    if options.threads is not None:
        return options.threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _MOST_THREADS))
