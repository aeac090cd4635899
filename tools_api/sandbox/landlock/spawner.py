"""Starts runs without namespaces: brings uid, folders, rules, filter and keeper together."""

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools_api.sandbox.execution import Execution
from tools_api.sandbox.interpreter import Interpreter
from tools_api.sandbox.landlock.accounts import Account, Accounts, DedicatedAccounts, NoAccount, OwnAccount
from tools_api.sandbox.landlock.folders import RunFolder, RunFolders, remove_tree
from tools_api.sandbox.landlock.kernel import ALL, SIGNALS_SINCE, USE, landlock_abi
from tools_api.sandbox.landlock.process import KeptProcess
from tools_api.sandbox.landlock.rules import Places, Rule, run_places, system_rules, tree_rules
from tools_api.sandbox.landlock.watchdog import FolderWatchdog
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, ReadOnlyTree
from tools_api.sandbox.pipes import reader_of
from tools_api.sandbox.seccomp import SeccompUnavailable, compile_filter
from tools_api.sandbox.spawner import Unusable

_KEEPER = Path(__file__).with_name("keeper.py")
_SUPERVISOR = ReadOnlyTree(Path(__file__).parents[1] / "inside" / "supervisor.py", "/opt/supervisor.py")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "TZ": "UTC"}  # noqa: S108


@dataclass(frozen=True, slots=True)
class LandlockSpawner:
    """What is the same for every run of this process."""

    abi: int
    interpreter: Interpreter
    seccomp_filter: bytes
    accounts: Accounts
    folders: RunFolders
    system: tuple[Rule, ...] = field(repr=False)

    @contextlib.asynccontextmanager
    async def spawn(self, job: Job, limits: Limits) -> AsyncGenerator[tuple[Execution, Job]]:
        """Start a confined supervisor for `job`, and give the job as that is to get it: with its paths as they are.
        At the end nothing of it is left, its folders included.

        Raises `SandboxBroken`, `Unusable`.
        """
        trees = (*self.interpreter.trees, _SUPERVISOR, *job.trees)
        async with _in_threads(self.accounts.claim(trees)) as account, self._folder(account) as folder:
            starting = asyncio.ensure_future(self._start(job, limits, account, folder))
            try:
                execution = await _whole(starting)
                await execution.until_ready()
                yield execution, self._placed(job, folder)
            finally:
                if starting.done() and not starting.cancelled() and starting.exception() is None:
                    await asyncio.shield(starting.result().gone())

    def close(self) -> None:
        """Let go of what outlives single runs."""
        self.folders.close()

    @contextlib.asynccontextmanager
    async def _folder(self, account: Account) -> AsyncGenerator[RunFolder]:
        try:
            folder = await asyncio.to_thread(self.folders.create, account.uid)
        except OSError as error:
            raise Unusable(f"no folder can be made for a run: {error.strerror}") from None
        try:
            yield folder
        finally:
            await asyncio.shield(asyncio.to_thread(remove_tree, folder.path))

    async def _start(self, job: Job, limits: Limits, account: Account, folder: RunFolder) -> Execution:
        with contextlib.ExitStack() as ours:
            result_read, result_write = os.pipe()
            ours.callback(os.close, result_write)
            orders = _memory_holding(self._orders(job, limits, account, folder, result_write), ours)
            result, transport = await reader_of(result_read)
            with contextlib.ExitStack() as if_not_started:
                if_not_started.callback(transport.close)
                process = await self._exec((str(orders), str(result_write), str(os.getpid())), (orders, result_write))
                if_not_started.pop_all()
            uid = os.geteuid() if account.uid is None else account.uid
            watch = functools.partial(FolderWatchdog, folder=folder)
            return Execution(KeptProcess(process, result, uid), limits, watch=watch)

    def _placed(self, job: Job, folder: RunFolder) -> Job:
        places = run_places((*self.interpreter.trees, *job.trees), folder.workspace, folder.temporary)
        script = None if job.script is None else places.real(job.script)
        return replace(job, script=script, argv=tuple(map(places.real, job.argv)))

    def _orders(self, job: Job, limits: Limits, account: Account, folder: RunFolder, result_fd: int) -> bytes:
        """Write down for the keeper what it is to start and how confined. See `keeper.py`."""
        trees = (*self.interpreter.trees, _SUPERVISOR, *job.trees)
        places = run_places(trees, folder.workspace, folder.temporary)
        own = (Rule(USE, folder.workspace), Rule(USE, folder.temporary))
        argv = [places.real(part) for part in (*self.interpreter.argv, _SUPERVISOR.target)]
        counted = replace(limits, processes=limits.processes + account.tasks)
        rlimits = counted.as_rlimits(bounded_address_space=job.bounded_address_space)
        orders = [
            ("abi", str(self.abi)),
            ("handled", str(int(ALL.known_to(self.abi)))),
            ("folder", str(folder.workspace)),
            *(("arg", part) for part in (*argv, str(result_fd), rlimits)),
            *(("env", f"{name}={value}") for name, value in self._environment(job.env, places).items()),
        ]
        if account.uid is not None:
            orders.append(("uid", str(account.uid)))
        for rule in (*self.system, *tree_rules((_SUPERVISOR, *job.trees)), *own):
            orders.append(("rule", f"{int(rule.access.known_to(self.abi))}:{rule.path}"))
        body = b"\0".join(part.encode("utf-8", "surrogateescape") for pair in orders for part in pair)
        return len(body).to_bytes(8, "big") + body + self.seccomp_filter

    def _environment(self, wanted: Mapping[str, str], places: Places) -> dict[str, str]:
        env = {**_ENVIRONMENT, "USER": "sandbox", **self.interpreter.env, **wanted}
        return {name: places.real_list(value) for name, value in env.items()}

    async def _exec(self, arguments: Sequence[str], pass_fds: tuple[int, ...]) -> asyncio.subprocess.Process:
        """Spawn from the event loop's thread: the keeper ends with the *thread* that started it, and this one stays."""
        places = Places(self.interpreter.trees)
        executable, *options = (places.real(part) for part in self.interpreter.argv)
        try:
            return await asyncio.create_subprocess_exec(
                *(executable, *options, str(_KEEPER), *arguments),
                stdin=asyncio.subprocess.PIPE,  # pipes, never descriptors of ours
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=pass_fds,
                env={name: places.real_list(value) for name, value in self.interpreter.env.items()},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise Unusable(f"{executable} could not be started: {error.strerror}") from None


def prepare(*, interpreter: Interpreter, most_abi: int | None = None) -> LandlockSpawner:
    """Look at the machine. Raises `Unusable` with what is missing; whether it isolates is the self-test's question.

    `most_abi` has it make do with less than this kernel offers.
    """
    abi = landlock_abi() if most_abi is None else min(landlock_abi(), most_abi)
    is_root = os.geteuid() == 0
    if abi == 0:
        raise Unusable("this kernel has no Landlock, or keeps it off: it needs Linux 5.13 with `lsm=landlock,…`")
    if not is_root and abi < SIGNALS_SINCE:
        raise Unusable("an ordinary user's runs can only be kept from signalling others by Linux 6.12 or newer")
    try:
        seccomp_filter = compile_filter(namespaces=False)
    except SeccompUnavailable as error:
        raise Unusable(str(error)) from None
    try:
        return LandlockSpawner(
            abi=abi,
            interpreter=interpreter,
            seccomp_filter=seccomp_filter,
            accounts=DedicatedAccounts() if is_root else OwnAccount(),
            folders=RunFolders(),
            system=tuple(system_rules(interpreter)),
        )
    except OSError as error:
        raise Unusable(f"no folder can be made for runs: {error.strerror}") from None


@contextlib.asynccontextmanager
async def _in_threads(
    claiming: contextlib.AbstractContextManager[Account],
) -> AsyncGenerator[Account]:
    """Enter and leave a context that looks through /proc, away from the event loop."""
    try:
        account = await asyncio.to_thread(claiming.__enter__)
    except (NoAccount, OSError) as error:
        raise Unusable(str(error)) from None
    try:
        yield account
    finally:
        await asyncio.shield(asyncio.to_thread(claiming.__exit__, None, None, None))


async def _whole(starting: asyncio.Future[Execution]) -> Execution:
    """Wait for a start to its end even if cancelled meanwhile: asyncio can hang when it is cancelled while it connects
    a child's pipes."""
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        raise


def _memory_holding(content: bytes, stack: contextlib.ExitStack) -> int:
    """Return a descriptor from which `content` can be read once."""
    descriptor = os.memfd_create("orders", os.MFD_CLOEXEC)
    stack.callback(os.close, descriptor)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
