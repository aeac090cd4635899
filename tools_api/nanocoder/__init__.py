"""`PYTHON_EXECUTOR_MODE=nanocoder`: python_coder takes a task in words, and a coding agent works on it in the sandbox.

The agent is nanocoder (`@nanocollective/nanocoder` on npm), unchanged, from a folder that the administrator installed
(`python -m tools_api.nanocoder.install`). It runs in a sandbox like any other code: no network, no credential, limits
of time, processor, memory, processes, output and files. What it needs beyond that, and why it is safe:

* A model. The sandbox has a network namespace with nothing but its own loopback. Inside, `inside/launch.py` listens
  there and passes whole HTTP requests through one socket pair; outside, `relay.py` reads them as hostile bytes, admits
  `POST /v1/chat/completions` and `GET /v1/models` only, rebuilds what was asked from a list of known fields for the one
  configured model, and calls the one configured address with the credential, which is never seen inside.
* TCP sockets, to talk to that listener: this mode's runs, and no others, have a seccomp filter that allows them
  (`sandbox/seccomp.py`). The self-test is made once more with that filter before the tool calls itself available.
* Address space: node reserves hundreds of gigabytes that it never touches, so RLIMIT_AS is lifted. Memory in sum stays
  limited by the control group or the watchdog.

Why so: deploy/decisions/0010-nanocoder.md.

NOT covered: a model that the operator trusts with the task sees what the task's files hold; and what the agent says of
its own work (text, tool calls, tokens) is its word alone, like all that comes out of a sandbox.
"""

from tools_api.nanocoder.tool import Nanocoder, NanocoderOptions
from tools_api.nanocoder.upstream import Upstream

__all__ = ["Nanocoder", "NanocoderOptions", "Upstream"]
