"""The level `wasi`: CPython as a WebAssembly component. For machines without namespaces: macOS, restricted containers.

Each run is a fresh instance in a process of its own, forked from one that has the compiled interpreter and no rights
(`child/`). The instance sees two private folders, clocks and random bytes: it has no way to name anything else, which
is what isolates it, on every system alike. The standard library is inside; compiled packages (numpy) and other
programs cannot run. `build.py` makes the interpreter once.

Limits: time, processor time and the size of a file are the process's, and end it, which holds whatever the instance or
its engine does (wasmtime's epochs would need the engine's help). Memory is the store's. Files in sum are counted forty
times a second: a run may overshoot by what it writes in between. Output is capped by the host.

NOT covered, besides what `tools_api/sandbox` says:
* A bug in wasmtime. It would give a run the rights of its process: an unprivileged uid (60999 if the service is root,
  else the service's own), without a filter of system calls. It is killed with its run, and each run has one of its own.
* Space of files that a run has deleted and still holds open: it is the host's, up to the size of a file for each open
  one, and comes back when the run ends.
* The engine's own memory, where /proc is missing; there only the instance's is limited.
"""

from tools_api.sandbox.wasi.level import Wasi

__all__ = ["Wasi"]
