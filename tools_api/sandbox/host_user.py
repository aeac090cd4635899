"""How a sandbox leaves the service's user: never with kernel uid 0, never through a folder it may not pass.

An ordinary user starts bwrap as itself. Root first drops to a uid of no one's. That uid can't reach an interpreter
under a 0700 home, and bwrap resolves its sources by path, so root prepares a private mount namespace once, in which
the trees that are out of reach are bound to a place in the open, and enters it before each run. The namespace has no
process and no name: it lives as long as our descriptor of it, so a killed service leaves nothing behind.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools_api.sandbox.outcome import ReadOnlyTree

SANDBOX_UID = 60_999
"""Between systemd's ranges for containers and for dynamic users, where no distribution puts anyone."""

_STAGES = ("/mnt", "/media", "/srv", "/opt", "/tmp")  # noqa: S108 - covered in a private namespace, not written to
_STAGE_SCRIPT = """
set -e
stage=$1; shift
mount -t tmpfs -o mode=0755,size=64k none "$stage" -c
number=0
for source in "$@"; do
    if [ -d "$source" ]; then mkdir "$stage/$number"; else : >"$stage/$number"; fi
    mount --bind -c "$source" "$stage/$number"
    number=$((number + 1))
done
echo ready
read -r _
"""
_TIMEOUT_S = 10.0


class HostUserUnusable(Exception):
    """The service's user can't start a sandbox; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The command that leads to bwrap, and the trees as bwrap is to find them after it."""

    argv: tuple[str, ...]
    trees: tuple[ReadOnlyTree, ...]


_Identity = tuple[Path, int, int]
"""A path, and the device and inode that it had: what is installed anew under the same name has a view of its own."""


@dataclass(slots=True)
class OrdinaryUser:
    """The service runs without privileges: so does bwrap, as the same user."""

    async def enter(self, trees: Sequence[ReadOnlyTree]) -> Entry:
        """Need nothing."""
        return Entry((), tuple(trees))

    def close(self) -> None:
        """Hold nothing."""


@dataclass(slots=True)
class Root:
    """The service runs as root: bwrap runs as `SANDBOX_UID`, with no group of the host and no way back."""

    _views: dict[tuple[_Identity, ...], int] = field(default_factory=dict["tuple[_Identity, ...]", int])
    _building: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def enter(self, trees: Sequence[ReadOnlyTree]) -> Entry:
        """Build the view that these trees need, once. Raises `HostUserUnusable`."""
        drop = (
            *("/usr/bin/setpriv", f"--reuid={SANDBOX_UID}", f"--regid={SANDBOX_UID}", "--clear-groups"),
            *("--no-new-privs", "--inh-caps=-all", "--"),
        )
        hidden = tuple(tree.source for tree in trees if not open_to_all(tree.source))
        if not hidden:
            return Entry(drop, tuple(trees))
        identities = tuple(map(_identify, hidden))
        async with self._building:
            if identities not in self._views:
                self._views[identities] = await _build_view(hidden)
        stage = _stage_for(hidden)
        shown = tuple(
            replace(tree, source=stage / str(hidden.index(tree.source))) if tree.source in hidden else tree
            for tree in trees
        )
        namespace = f"--mount=/proc/{os.getpid()}/fd/{self._views[identities]}"
        return Entry(("/usr/bin/nsenter", namespace, "--", *drop), shown)

    def close(self) -> None:
        """Let the views go."""
        for descriptor in self._views.values():
            os.close(descriptor)
        self._views.clear()


def open_to_all(path: Path) -> bool:
    """Say whether any user may reach and read `path`. Raises `HostUserUnusable` if it is unreadable in itself."""
    real = path.resolve()
    mode = real.stat().st_mode
    if not mode & 0o004 or (real.is_dir() and not mode & 0o001):
        raise HostUserUnusable(f"{real.name} is readable by its owner alone: chmod -R a+rX on it, then start again")
    return all(parent.stat().st_mode & 0o001 for parent in real.parents)


def _identify(path: Path) -> _Identity:
    status = path.stat()
    return path, status.st_dev, status.st_ino


def _stage_for(sources: Sequence[Path]) -> Path:
    for stage in map(Path, _STAGES):
        if stage.is_dir() and not any(source.resolve().is_relative_to(stage) for source in sources):
            return stage
    raise HostUserUnusable("no folder is free to stage the interpreter in: create /mnt")


async def _build_view(sources: Sequence[Path]) -> int:
    """Make the mount namespace and return a descriptor that keeps it alive."""
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", _STAGE_SCRIPT, "sh"),
        str(_stage_for(sources)),
        *(str(source.resolve()) for source in sources),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _TIMEOUT_S) if process.stdout else b""
        if line != b"ready\n":
            raise HostUserUnusable(
                "the service may not make mounts here (no CAP_SYS_ADMIN?) and its Python lies where other users "
                "may not look: run the service as an ordinary user, or use a Python that everyone can read"
            )
        return os.open(f"/proc/{process.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        if process.stdin:
            process.stdin.close()  # the script ends with its input
        await process.wait()
