"""The recipe: which arguments make `bwrap` a sandbox. Pure; nothing is started here.

Rules that the order keeps: `--` comes before the command and nothing of a job comes before `--` or among the options
except read-only trees that our own code names; no mount lies below a writable one; every tmpfs has a size, /dev's too,
because a tmpfs without one may grow to half of the machine's memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import ReadOnlyTree

WORKSPACE = "/workspace"
INSIDE_UID = 65_534
_TINY = 4096

_SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# What an administrator installs by hand is nobody's business inside; so are kernel and package sources.
_HIDDEN_BELOW_USR = ("/usr/local", "/usr/src")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that one sandbox's command line depends on."""

    bubblewrap: Path
    trees: Sequence[ReadOnlyTree]
    hidden: Sequence[str]
    env: Mapping[str, str]
    limits: Limits
    seccomp_fd: int | None
    """None for trusted code that makes sandboxes below this one: it has no filter and may make namespaces. Nothing
    covers a part of its /proc, because below such a one the kernel would refuse a fresh one."""

    def argv(self, command: Sequence[str], *, options_fd: int) -> list[str]:
        """Build the command line that runs `command` inside, with the `options` behind a descriptor.

        bwrap stays inside as the first process: what stood on its command line, every run could read there.
        """
        return [str(self.bubblewrap), "--args", str(options_fd), "--", *command]

    def options(self) -> list[str]:
        """List what makes bwrap a sandbox; to be read by it NUL-separated."""
        return [
            *_NAMESPACES,
            *(("--disable-userns",) if self.seccomp_fd is not None else ()),
            *_environment(self.env),
            *_system(),
            *self._trees(),
            *_kernel_file_systems(self.limits, proc_covered=self.seccomp_fd is not None),
            *_tmpfs(WORKSPACE, self.limits.workspace_bytes),
            *("--chdir", WORKSPACE),
            *_tmpfs("/tmp", self.limits.scratch_bytes),  # noqa: S108 - the sandbox's own
            *("--remount-ro", "/"),
            *(("--seccomp", str(self.seccomp_fd)) if self.seccomp_fd is not None else ()),
        ]

    def _trees(self) -> list[str]:
        binds = [part for tree in self.trees for part in ("--ro-bind", str(tree.source), tree.target)]
        return binds + [part for path in self.hidden for part in _empty(path)]


_NAMESPACES = (
    "--unshare-all",
    "--unshare-user",
    "--die-with-parent",
    "--new-session",
    *("--cap-drop", "ALL"),
    *("--uid", str(INSIDE_UID)),
    *("--gid", str(INSIDE_UID)),
    *("--hostname", "sandbox"),
)


def _environment(extra: Mapping[str, str]) -> list[str]:
    env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "USER": "sandbox", "LANG": "C.UTF-8", "TZ": "UTC"}  # noqa: S108
    pairs = (("--setenv", name, value) for name, value in {**env, **extra}.items())
    return ["--clearenv", *(part for pair in pairs for part in pair)]


def _system() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for path in _HIDDEN_BELOW_USR:
        if Path(path).is_dir() and not Path(path).is_symlink():
            arguments += _empty(path)
    for path in map(Path, _SYSTEM_LINKS):
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()).lstrip("/"), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    return arguments


def _kernel_file_systems(limits: Limits, *, proc_covered: bool) -> list[str]:
    return [
        *("--proc", "/proc"),
        # a root-started bwrap leaves core_pattern writable without it
        *(("--ro-bind", "/proc/sys", "/proc/sys") if proc_covered else ()),
        *("--dev", "/dev"),
        *_tmpfs("/dev/shm", limits.scratch_bytes),  # noqa: S108
        *("--remount-ro", "/dev"),
    ]


def _tmpfs(path: str, size: int) -> list[str]:
    return ["--size", str(size), "--tmpfs", path]


def _empty(path: str) -> list[str]:
    return [*_tmpfs(path, _TINY), "--remount-ro", path]
