"""The level `wasi` as `Sandbox` sees it: checks that the interpreter is there, proves it, and runs jobs in it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from tools_api.sandbox.execution import Execution
from tools_api.sandbox.level import LevelFailed, Standing
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Abilities, Job, Level, Outcome, OutputListener
from tools_api.sandbox.process import SandboxBroken
from tools_api.sandbox.selftest import SelfTestFailed
from tools_api.sandbox.wasi.build import BUILD_COMMAND, COMPILED, is_current
from tools_api.sandbox.wasi.host import Server, WasiProcess, start_server
from tools_api.sandbox.wasi.job_frame import with_scripts
from tools_api.sandbox.wasi.selftest import run_self_test
from tools_api.sandbox.wasi.watchdog import WasiWatchdog


class Wasi:
    """Runs each job in a fresh instance of CPython on WASI, which `artefact`, a folder, holds."""

    name: Level = "wasi"
    abilities = Abilities(programs=False, native_code=False)

    def __init__(self, *, artefact: Path, most: Limits) -> None:
        self._artefact = artefact
        self._most = most
        self._server: Server | None = None

    async def probe(self) -> Standing:
        """Check the interpreter and run the self-test in it. Raises `LevelFailed`."""
        if not await asyncio.to_thread(is_current, self._artefact):
            raise LevelFailed(
                f"CPython on WASI is not built, or for another version: {BUILD_COMMAND} {self._artefact}",
                failure="missing",
            )
        await self._open()
        try:
            checks, python = await run_self_test(
                lambda job: self.run(job, (job.limits or self._most).within(self._most), None)
            )
        except SelfTestFailed as error:
            raise LevelFailed(f"the self-test failed: {error}", failure="self_test", checks=error.checks) from None
        except OSError as error:  # no room or no descriptors for the self-test's bait
            raise LevelFailed(f"the self-test could not be made: {error.strerror}", failure="self_test") from None
        return Standing(memory="engine", python=python, checks=checks)

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        """Run `job` in a fresh instance. Raises `LevelFailed` if its process did not come up."""
        framed = await asyncio.to_thread(with_scripts, job)
        async with self._execution(limits) as execution:
            return await execution.do(framed, None, on_output)

    async def aclose(self) -> None:
        """End the server."""
        if self._server:
            await self._drop(self._server)

    @contextlib.asynccontextmanager
    async def _execution(self, limits: Limits) -> AsyncGenerator[Execution]:
        execution = Execution(await self._forked(limits), limits, watch=WasiWatchdog)
        try:
            try:
                await execution.until_ready()
            except SandboxBroken as error:
                raise LevelFailed(f"CPython on WASI could not be started: {error}") from None
            yield execution
        finally:
            await asyncio.shield(execution.gone())

    async def _forked(self, limits: Limits) -> WasiProcess:
        """Fork, and if cancelled meanwhile, fork first and end it then, so that no pipe is left half connected."""
        server = self._server
        if server is None:
            raise LevelFailed("the process that runs of CPython on WASI come from has not been started")
        forking = asyncio.ensure_future(server.fork(limits))
        try:
            return await asyncio.shield(forking)
        except (SandboxBroken, OSError) as error:
            await self._drop(server)
            raise LevelFailed(f"CPython on WASI could not be started: {error}") from None
        except asyncio.CancelledError:
            await asyncio.wait({forking})
            if not forking.cancelled() and forking.exception() is None:
                await forking.result().gone()
            raise

    async def _open(self) -> None:
        """Start the server unless it runs; a start that is cancelled is finished first, since asyncio can hang when it
        is cancelled while it connects a child's pipes."""
        if self._server and not self._server.alive:
            await self._drop(self._server)
        if self._server:
            return
        starting = asyncio.ensure_future(start_server(self._artefact / COMPILED))
        try:
            self._server = await asyncio.shield(starting)
        except (SandboxBroken, OSError) as error:
            raise LevelFailed(f"CPython on WASI could not be started: {error}") from None
        except asyncio.CancelledError:
            await asyncio.wait({starting})
            if not starting.cancelled() and starting.exception() is None:
                await starting.result().aclose()
            raise

    async def _drop(self, server: Server) -> None:
        if self._server is server:
            self._server = None
            await server.aclose()
