"""Starts bubblewrap: brings recipe, filter, interpreter and host user together. Knows nothing of what it runs."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.bubblewrap import Recipe
from tools_api.sandbox.host_user import HostUserUnusable, OrdinaryUser, Root
from tools_api.sandbox.interpreter import Interpreter
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import ReadOnlyTree
from tools_api.sandbox.pipes import pipe_holding

SCRIPTS = ReadOnlyTree(Path(__file__).parent / "inside", "/opt/sandbox")
"""Our own scripts, as they are seen inside."""

_ENTER_CGROUPS = 'until [ "$1" = -- ]; do echo 0 >"$1/cgroup.procs" || exit 71; shift; done; shift; exec "$@"'


class Unusable(Exception):
    """This machine can't run sandboxes; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What one bubblewrap is started for: `script`, a Python file inside, with the descriptors `pass_fds` of ours.

    Without a `seccomp_filter` it is for our own code alone, which may make namespaces below its own.
    """

    script: str
    arguments: tuple[str, ...]
    pass_fds: tuple[int, ...]
    trees: tuple[ReadOnlyTree, ...]
    env: Mapping[str, str]
    limits: Limits
    seccomp_filter: bytes | None
    cgroups: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Launcher:
    """What is the same for everything that this process starts."""

    bubblewrap: Path
    interpreter: Interpreter
    seccomp_filter: bytes
    loopback_filter: bytes
    host_user: OrdinaryUser | Root

    async def start(self, box: Box) -> asyncio.subprocess.Process:
        """Start a box. Raises `Unusable`."""
        try:
            entry = await self.host_user.enter((*self.interpreter.trees, *box.trees))
        except (HostUserUnusable, OSError) as error:
            raise Unusable(str(error)) from None
        with contextlib.ExitStack() as ours:
            seccomp_fds = (pipe_holding(box.seccomp_filter, ours),) if box.seccomp_filter else ()
            recipe = Recipe(
                bubblewrap=self.bubblewrap,
                trees=entry.trees,
                hidden=self.interpreter.hidden,
                env={**self.interpreter.env, **box.env},
                limits=box.limits,
                seccomp_fd=seccomp_fds[0] if seccomp_fds else None,
            )
            inside = (*self.interpreter.argv, box.script, *box.arguments)
            options_fd = pipe_holding("\0".join(recipe.options()).encode() + b"\0", ours)
            argv = [*_join(box.cgroups), *entry.argv, *recipe.argv(inside, options_fd=options_fd)]
            return await _exec(argv, (*seccomp_fds, options_fd, *box.pass_fds))


def _join(cgroups: Sequence[Path]) -> Sequence[str]:
    """Enter the control groups first, so that no child of bwrap is ever outside them."""
    return ("/bin/sh", "-c", _ENTER_CGROUPS, "sh", *map(str, cgroups), "--") if cgroups else ()


async def _exec(argv: Sequence[str], pass_fds: tuple[int, ...]) -> asyncio.subprocess.Process:
    """Spawn from the event loop's thread: --die-with-parent means the *thread*, and this one outlives the run."""
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,  # pipes, never descriptors of ours
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=pass_fds,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise Unusable(f"{argv[0]} could not be started: {error.strerror}") from None
