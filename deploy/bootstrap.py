"""Make `.venv` what a lock file says, and fetch the system packages that features need.

Called by `bootstrap.sh` with any Python from 3.11 on; uses the standard library alone, since nothing else is there yet.
It is safe to call at every start: what is up to date is recognised by a hash in a few milliseconds, without network.
What `.venv` holds is written in `.venv/.twinport-setup`: a set-up that was cut short is recognised and made anew.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "deploy" / "locks"
VENV = ROOT / ".venv"
STATE = VENV / ".twinport-setup"
SANDBOX_PACKAGES = VENV / "sandbox-packages"
SOME_FAILED = 3
"""How `tools_api.sandbox.packages` ends when packages of the administrator's list could not be installed."""
SANDBOX_WASI = VENV / "sandbox-wasi"
INSTALLING = "installing"
TORCH_SIZES = {"torch-cpu": "200 MB", "torch": "with CUDA, some GB" if sys.platform == "linux" else "100 MB"}
SMALL_TORCH = (
    "  To have it (200 MB instead of some GB), stop this with Ctrl-C, set PIP_EXTRA_INDEX_URL to the address of\n"
    "  PyTorch's package index for CPUs, and run the same command again."
)
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
"""Is there where Linux drives a GPU of NVIDIA's."""

SUPERSETS = {"runtime": ("runtime",), "dev": ("dev", "runtime")}
"""The locks that are satisfied once one of them is installed: `dev.lock` is resolved on top of `runtime.lock`."""


class SetupFailed(Exception):
    """The set-up cannot go on; the message says why and what to do."""


@dataclass
class State:
    """What is known about `.venv`. `installing` stays set when an installation did not come to its end."""

    installing: str | None = None
    locks: dict[str, str] = field(default_factory=dict[str, str])
    system_tried: list[str] = field(default_factory=list[str])
    torch: str = ""
    """The build of torch that is there with the hash of its lock, or INSTALLING if that did not come to its end."""

    @classmethod
    def load(cls) -> "State | None":
        try:
            known: dict[str, Any] = json.loads(STATE.read_text(encoding="utf-8"))
            tried = list[str](known["system_tried"])
            return cls(known["installing"], dict(known["locks"]), tried, str(known.get("torch", "")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self) -> None:
        draft = STATE.with_name(STATE.name + ".new")
        draft.write_text(json.dumps(vars(self)) + "\n", encoding="utf-8")
        draft.replace(STATE)


@dataclass(frozen=True)
class SystemPackage:
    """A package of the operating system: what it is called by which installer, and which feature is off without it."""

    what: str
    names: dict[str, str]
    feature: str
    present: Callable[[], bool]

    def command(self) -> str:
        """Return the command that installs it on this machine."""
        for installer, arguments in INSTALLERS.items():
            if shutil.which(installer):
                sudo = "" if os.geteuid() == 0 else "sudo "
                return f"{sudo}{installer} {arguments} {self.names[installer]}"
        return f"install {self.what} with your system's installer"


def library(name: str) -> Callable[[], bool]:
    def present() -> bool:
        try:
            ctypes.CDLL(name)
        except OSError:
            return False
        return True

    return present


def named(debian: str, fedora: str, arch: str, alpine: str) -> dict[str, str]:
    return {"apt-get": debian, "dnf": fedora, "zypper": debian, "pacman": arch, "apk": alpine}


INSTALLERS = {"apt-get": "install", "dnf": "install", "zypper": "install", "pacman": "-S", "apk": "add"}
BUBBLEWRAP = SystemPackage(
    "bubblewrap", named(*4 * ["bubblewrap"]), "python_coder is", lambda: shutil.which("bwrap") is not None
)
SYSTEM_PACKAGES = [
    BUBBLEWRAP,
    SystemPackage(
        "libseccomp",
        named("libseccomp2", "libseccomp", "libseccomp", "libseccomp"),
        "python_coder is",
        library("libseccomp.so.2"),
    ),
    SystemPackage(
        "the OpenMP library",
        named("libgomp1", "libgomp", "gcc-libs", "libgomp"),
        "models in GGUF files (the bundled one too) are",
        library("libgomp.so.1"),
    ),
]
CHECK_PACKAGES = [
    SystemPackage(
        "curl", named(*4 * ["curl"]), "the test of the README's tour is", lambda: shutil.which("curl") is not None
    ),
    SystemPackage(
        "Redis",
        named("redis-server", "redis", "redis", "redis"),
        "the tests on a real Redis are",
        lambda: shutil.which("redis-server") is not None,
    ),
    SystemPackage(
        "PostgreSQL",
        named("postgresql", "postgresql-server", "postgresql", "postgresql"),
        "the tests on a real PostgreSQL are",
        lambda: bool(shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))),
    ),
]
"""What only the tests start, for themselves, on ports of their own."""
POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program whether a service that was just installed shall be started."""


def main() -> int:
    target = sys.argv[1] if len(sys.argv) == 2 else ""
    if target not in SUPERSETS:
        print(f"usage: bash deploy/bootstrap.sh {'|'.join(SUPERSETS)}", file=sys.stderr)
        return 2
    try:
        with alone():
            state = install(target)
            install_torch(state)
            install_system(state, SYSTEM_PACKAGES + (CHECK_PACKAGES if target == "dev" else []))
            install_sandbox_packages(state)
            install_wasi(state)
            install_launcher()
    except SetupFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"No permission to write {error.filename}. {owner_hint()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped during the set-up; the next start does it again.", file=sys.stderr)
        return 130
    return 0


@contextlib.contextmanager
def alone() -> Generator[None]:
    """Let one set-up run at a time. The kernel drops the lock with the process, however it ends."""
    descriptor = os.open(LOCKS, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is at work in this folder; waiting for it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def install(target: str) -> State:
    """Bring `.venv` to the lock file of `target` if it is not there already."""
    lock = LOCKS / f"{target}.lock"
    wanted = digest(lock)
    state = State.load()
    healthy = venv_works()
    if healthy and state and state.installing is None and state.locks.get(target) == wanted:
        return state
    if not healthy or (state and state.installing):
        make_venv()
        state = None
    state = state or State()
    state.installing = target
    state.locks = {name: value for name, value in state.locks.items() if value == digest(LOCKS / f"{name}.lock")}
    state.save()
    pip_install(lock)
    state.locks |= {name: digest(LOCKS / f"{name}.lock") for name in SUPERSETS[target]}
    state.installing = None
    state.save()
    return state


def venv_works() -> bool:
    """Say whether `.venv` has a Python that starts and a pip: brew and pyenv remove Pythons under a `.venv`."""
    python = VENV / "bin" / "python"
    if not (VENV / "pyvenv.cfg").is_file() or not python.exists():
        return False
    if not list(VENV.glob("lib/python3.*/site-packages/pip/__main__.py")):
        return False
    probe = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))"
    return run_quietly([str(python), "-I", "-S", "-c", probe]).returncode == 0


def make_venv() -> None:
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        say("Found a .venv that is broken or was never finished; making a new one.")
        shutil.rmtree(VENV)
    base = str(getattr(sys, "_base_executable", sys.executable))  # as venv itself: not the .venv that was just removed
    say(f"Making .venv with Python {sys.version.split()[0]} ...")
    VENV.mkdir()
    State(installing="venv").save()
    made = run_quietly([base, "-m", "venv", str(VENV)])
    if made.returncode != 0:
        raise SetupFailed(f"{base} could not make a virtual environment:\n{tail(made.stdout)}")


def pip_install(lock: Path) -> None:
    """Install exactly the files whose hashes are in `lock`."""
    count = sum(1 for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line and line[0].isalnum())
    with progress(f"Installing the {count} locked packages (once; a few minutes at most)"):
        done = run_pip(lock)
    if done.returncode != 0:
        raise SetupFailed(
            f"Installing {lock.name} failed:\n{tail(done.stdout)}\n"
            "If the network or a proxy is at fault, mend that and run the same command again."
        )


def run_pip(lock: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Let pip install a lock. Without dependencies: a lock names all of them, and torch has a lock of its own.

    What it brings is compiled afterwards: pip uses one processor for that and takes as long for it as for the rest.
    """
    python = str(VENV / "bin" / "python")
    checked = ["--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "--no-deps", "--no-compile"]
    done = run_quietly([python, "-m", "pip", "install", *checked, *options, "-r", str(lock)])
    if done.returncode == 0:
        run_quietly([python, "-m", "compileall", "-q", "-j", "0", *map(str, VENV.glob("lib/python3.*/site-packages"))])
    return done


def install_torch(state: State) -> None:
    """Install torch, for the encoder of documents. Never an obstacle: everything but that works without it.

    Linux has two builds. The one with CUDA is on the package index and takes some GB; the small one without it is on
    an index of PyTorch's own, and is tried first where no GPU of NVIDIA's is. Each has the hashes of its own lock.
    """
    small = sys.platform == "linux" and not NVIDIA_DRIVER.exists()
    builds = ["torch-cpu", "torch"] if small else ["torch"]
    if state.torch in {f"{build} {digest(LOCKS / f'{build}.lock')}" for build in ("torch-cpu", "torch")}:
        return
    again = ["--force-reinstall"] if state.torch == INSTALLING else []  # half of it may lie there and look whole
    problem = ""
    for build in builds:
        state.torch = INSTALLING
        state.save()
        with progress(f"Installing torch for searching documents ({TORCH_SIZES[build]}; once)"):
            done = run_pip(LOCKS / f"{build}.lock", "--retries", "2", *again)
        state.torch = f"{build} {digest(LOCKS / f'{build}.lock')}" if done.returncode == 0 else ""
        state.save()
        if state.torch:
            return
        problem = tail(done.stdout, 3)
        if build == "torch-cpu":
            say(f"Note: the build of torch without CUDA could not be installed:\n{problem}\n{SMALL_TORCH}")
    say(f"Note: documents are found by their words only, since torch is missing:\n{problem}")
    say("  The next start tries again.")


def install_system(state: State, wanted: list[SystemPackage]) -> None:
    """Fetch the system packages that features need, or say what is off. Never an obstacle: the rest works without."""
    if sys.platform != "linux":
        if "wasi" not in sandbox_levels():
            say("Note: python_coder is off here: its sandbox needs Linux. With SANDBOX_LEVELS=wasi in .env it runs in")
            say("      WebAssembly instead, with the standard library only. Everything else works.")
        return
    missing = [package for package in wanted if not package.present()]
    untried = [package for package in missing if package.what not in state.system_tried]
    if untried and may_use_apt():
        state.system_tried += [package.what for package in untried]  # once: without a network every start would wait
        state.save()
        names = [package.names["apt-get"] for package in untried]
        with progress(f"Installing {', '.join(names)}"), services_left_off():
            apt_install(names)
        missing = [package for package in missing if not package.present()]
    for package in missing:
        say(f"Note: {package.feature} off: {package.what} is missing. To have it: {package.command()}")


def install_sandbox_packages(state: State) -> None:
    if sys.platform != "linux" or not BUBBLEWRAP.present():
        return
    lock = LOCKS / "sandbox.lock"
    if not (ROOT / "tools_api" / "sandbox" / "packages.py").is_file():
        return
    listed = package_list()
    wanted = digest(lock) + (digest(listed) if listed else "")
    if state.locks.get("sandbox") == wanted and SANDBOX_PACKAGES.is_dir():
        return
    command = [str(VENV / "bin" / "python"), "-m", "tools_api.sandbox.packages", str(SANDBOX_PACKAGES)]
    with progress("Installing the data libraries of python_coder (once)"):
        done = run_quietly([*command, *(["--requirements", str(listed)] if listed else [])])
    if listed and done.returncode == SOME_FAILED:
        say(f"Note: packages of {listed.name} are missing in python_coder; the next start tries again:")
        say(tail(done.stdout))
    elif done.returncode != 0:
        say(f"Note: the data libraries of python_coder are missing or old: installing failed:\n{tail(done.stdout)}")
    else:
        state.locks["sandbox"] = wanted
        state.save()


def package_list() -> Path | None:
    """Find the list of packages that the administrator wants in the sandbox."""
    named = setting("SANDBOX_PACKAGES")
    listed = ROOT / Path(named or "sandbox-packages.txt").expanduser()
    if listed.is_file():
        return listed
    if named:
        say(f"Note: there is no file {named} (SANDBOX_PACKAGES); python_coder has its own packages only.")
    return None


def install_wasi(state: State) -> None:
    """Build CPython on WASI if the operator allows that level of the sandbox."""
    if "wasi" not in sandbox_levels():
        return
    lock = LOCKS / "wasi.lock"
    if state.locks.get("wasi") != digest(lock):
        pip_install(lock)
        state.locks["wasi"] = digest(lock)
        state.save()
    command = [str(VENV / "bin" / "python"), "-m", "tools_api.sandbox.wasi", "build", str(SANDBOX_WASI)]
    there = (SANDBOX_WASI / ".built").is_file()
    with contextlib.nullcontext() if there else progress("Building CPython on WASI for python_coder (once; minutes)"):
        done = run_quietly(command)  # which does nothing if it is up to date
    if done.returncode != 0:
        say(f"Note: python_coder can't use the sandbox level wasi: building it failed:\n{tail(done.stdout)}")


def sandbox_levels() -> list[str]:
    """Read SANDBOX_LEVELS."""
    return [level.strip() for level in setting("SANDBOX_LEVELS").split(",")]


def setting(wanted: str) -> str:
    """Read a setting as the servers will: from the environment, else from `.env`; empty if it is nowhere."""
    value = os.environ.get(wanted)
    env_file = ROOT / ".env"
    if value is None and env_file.is_file():
        for line in env_file.read_text(encoding="utf-8").splitlines():
            name, _, text = line.strip().removeprefix("export ").partition("=")
            value = text if name.strip() == wanted else value
    return (value or "").strip().strip("\"'")


def install_launcher() -> None:
    """Link the launcher as `.venv/bin/twinport`, for shells that have activated `.venv`."""
    link = VENV / "bin" / "twinport"
    if not link.is_symlink():
        link.symlink_to(Path("..", "..", "twinport"))


def may_use_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


@contextlib.contextmanager
def services_left_off() -> Generator[None]:
    """Keep apt from starting what it installs: the tests want the programs, not a server that runs from now on."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def apt_install(packages: list[str]) -> None:
    patience = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=60"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install_them = ["apt-get", "-qq", *patience, "install", "--yes", "--no-install-recommends", *packages]
    if run_quietly(install_them, environment).returncode != 0:  # a fresh image has no package lists yet
        run_quietly(["apt-get", "-qq", *patience, "update"], environment)
        run_quietly(install_them, environment)


def owner_hint() -> str:
    owner = VENV.stat().st_uid if VENV.exists() else ROOT.stat().st_uid
    if owner != os.geteuid():
        return "It belongs to another user, perhaps from a start with sudo: remove .venv as that user, or be that user."
    return "Make the folder writable and run the same command again."


def digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise SetupFailed(f"{file.relative_to(ROOT)} is missing: this copy of Twinport is not complete.") from None


def run_quietly(command: list[str], environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def tail(output: str, lines: int = 12) -> str:
    return "\n".join("  " + line for line in output.strip().splitlines()[-lines:])


@contextlib.contextmanager
def progress(what: str) -> Generator[None]:
    started = time.monotonic()
    say(what + " ...")
    yield
    say(f"  done in {time.monotonic() - started:.0f} s")


def say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())
