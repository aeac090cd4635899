"""llama.cpp for one GGUF file, in a process of its own: `python -m main_api.backends.engines.llamacpp_child …`.

Runs xllamacpp's own HTTP server with continuous batching on a random loopback port. It always opens one, so it gets
a key; the pages that show other people's prompts (`/slots`) and the web page are off. The server's threads are native:
Python only waits for the parent to let go.
"""

import argparse
import importlib
from pathlib import Path
from typing import Any

from main_api.backends.engines.lifeline import Lifeline, attach

_LOG_ERRORS = 1
"""llama.cpp's level; 0 and below hide why a model does not load, 3 and above show prompts."""


def main() -> None:
    """Serve the model named on the command line until the parent goes."""
    lifeline = attach()
    arguments = _parse()
    server = _serve(arguments, lifeline)
    lifeline.ready(server.listening_address)
    lifeline.hold()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the GGUF file")
    parser.add_argument("--alias", required=True, help="the public name that answers carry")
    parser.add_argument("--slots", type=int, required=True, help="requests that are batched together")
    parser.add_argument("--context", type=int, required=True, help="context window of each slot, in tokens")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--prompt-cache-mb", type=int, required=True, help="memory for prompts seen before; 0: none")
    return parser.parse_args()


def _serve(arguments: argparse.Namespace, lifeline: Lifeline) -> Any:
    try:
        xllamacpp: Any = importlib.import_module("xllamacpp")
    except ImportError:
        lifeline.failed("the engine xllamacpp is not installed")
    try:
        return xllamacpp.Server(_parameters(xllamacpp, arguments, lifeline.api_key))
    except RuntimeError:  # it has written the reason to the log
        raise SystemExit(1) from None


def _parameters(xllamacpp: Any, arguments: argparse.Namespace, api_key: str) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(arguments.model)
    parameters.model_alias = {arguments.alias}
    parameters.n_parallel = arguments.slots
    parameters.n_ctx = arguments.slots * arguments.context  # llama.cpp divides it among the slots
    parameters.cpuparams.n_threads = arguments.threads
    parameters.cpuparams_batch.n_threads = arguments.threads
    parameters.fit_params = False
    parameters.cache_ram_mib = arguments.prompt_cache_mb
    parameters.use_jinja = True
    parameters.verbosity = _LOG_ERRORS
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [api_key]
    parameters.endpoint_slots = False
    parameters.ui = False
    return parameters


if __name__ == "__main__":
    main()
