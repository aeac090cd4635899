"""A fresh instance of CPython on WASI, and the one run that it does. It never returns: the process ends with the run.

What an instance gets: two empty folders, clocks, random bytes, stdout and stderr, and two functions of ours. No
environment, no argument, no network (wasmtime refuses every address unless it is allowed one), no other file.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from wasmtime import Config, Engine, Store, WasiConfig, WasmtimeError
from wasmtime.component import Component, Linker

if TYPE_CHECKING:
    from collections.abc import Callable

INTERPRETER_BYTES = 96 << 20
"""What the interpreter and the library take before the code runs; it is not counted as the code's."""
_MAX_MEMORY = (1 << 32) - (1 << 16)


def make_engine() -> Engine:
    """Make the engine for which components are compiled, and in which they run: both have to agree."""
    config = Config()
    config.wasm_component_model = True
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.macos_use_mach_ports = False  # forks keep signal handlers, not the thread that mach ports need
    return Engine(config)


@dataclass
class Run:
    """What one run is given."""

    workspace: str
    scratch: str
    memory_bytes: int
    report: Callable[[bytes], None]


class Python:
    """The compiled component. Nothing runs, and no thread starts, before `run`, so that the process can be forked."""

    def __init__(self, path: str) -> None:
        self._engine = make_engine()
        self._component = Component.deserialize_file(self._engine, path)
        self._linker = Linker(self._engine)
        self._linker.add_wasip2()
        self._given: Run | None = None
        with self._linker.root() as root:
            root.add_func("report", self._report)
            root.add_func("leave", _leave)

    def run(self, job: bytes, given: Run) -> NoReturn:
        """Run `job` and end the process with its exit status; with SIGABRT if the interpreter broke."""
        self._given = given
        store = Store(self._engine)
        wasi = WasiConfig()
        wasi.stdout_custom = _writer_to(1)
        wasi.stderr_custom = _writer_to(2)
        wasi.preopen_dir(given.workspace, "/workspace")
        wasi.preopen_dir(given.scratch, "/tmp")  # noqa: S108 - the guest's own
        store.set_wasi(wasi)
        store.set_limits(memory_size=min(given.memory_bytes + INTERPRETER_BYTES, _MAX_MEMORY))
        try:
            instance = self._linker.instantiate(store, self._component)
            run = instance.get_func(store, "run")
            if run:
                run(store, job)
        except WasmtimeError as error:
            os.write(2, f"the interpreter broke: {str(error).splitlines()[-1][:300]}\n".encode())
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        os.abort()

    def _report(self, _store: Any, content: bytes) -> None:
        if self._given:
            self._given.report(bytes(content))


def _leave(_store: Any, status: int) -> None:
    os._exit(status & 0xFF)


def _writer_to(descriptor: int) -> Callable[[bytes], int]:
    def write(content: bytes) -> int:
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError:
            os._exit(1)  # the host has heard enough
        return len(content)

    return write
