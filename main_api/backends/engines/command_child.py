"""A foreign OpenAI-compatible server (`llama-server`, `llama_cpp.server`) tied to the API like our own children.

`python -m main_api.backends.engines.command_child --key-variable NAME -- program arguments…` starts the program with
`{port}` replaced by a free loopback port and the key in the environment variable NAME, never in its arguments, where
every user of the machine could read it. When the parent goes, the program is killed; when the program ends, so does
this process, with the same status.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from main_api.backends.engines.lifeline import attach, die_with


def main() -> None:
    """Run the program until it ends or the parent goes."""
    lifeline = attach()
    arguments = _parse()
    port = _free_port()
    command = [part.replace("{port}", str(port)) for part in arguments.command]
    environment = {**os.environ, arguments.key_variable: lifeline.api_key}
    parent = os.getpid()
    try:
        program = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env=environment,
            preexec_fn=lambda: die_with(parent),  # noqa: PLW1509  the only other thread here just reads
        )
    except OSError:
        lifeline.failed(f"the program {Path(command[0]).name} is not installed or cannot be run")
    lifeline.at_end(program.kill)
    signal.signal(signal.SIGTERM, lambda _number, _frame: program.terminate())
    lifeline.ready(f"http://127.0.0.1:{port}")
    sys.exit(program.wait())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--key-variable", required=True)
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
