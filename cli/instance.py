"""One running Twinport per data folder, and what an earlier one that was killed has left behind.

`DATA_DIR/run/serve.lock` is held while `serve` runs; the kernel drops it with the process. `serve.json` names the
servers that it started, by process id and start time, so that a later start recognises them and nothing else, and says
where they listen, so that other commands find them.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The `serve` that has a data folder, and where its servers listen; None: it does not run that one."""

    pid: int
    main_url: str | None
    tools_url: str | None


def running(data_dir: Path) -> Running | None:
    """Return the `serve` that runs with `data_dir` now, if there is one."""
    known = _read(data_dir / "run" / "serve.json")
    try:
        if psutil.Process(known["pid"]).create_time() != known["created"]:
            return None  # it was killed, and another program has its id now
        return Running(pid=known["pid"], main_url=known["main_url"], tools_url=known["tools_url"])
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None


class DataFolderRefused(Exception):
    """Another `serve` has the data folder, or it cannot be written; the message says what to do."""


@contextlib.contextmanager
def only_instance(data_dir: Path) -> Generator["Instance"]:
    """Hold the data folder for as long as the block runs. Raises `DataFolderRefused`."""
    folder = data_dir / "run"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataFolderRefused(
            f"DATA_DIR: {data_dir} cannot be written ({error.strerror}). Choose another with --data-dir."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataFolderRefused(_describe(data_dir, folder / "serve.json")) from None
        instance = Instance(folder / "serve.json")
        yield instance
        instance.forget()
    finally:
        os.close(descriptor)


class Instance:
    """The record of the servers of this data folder."""

    def __init__(self, record: Path) -> None:
        self._record = record

    def left_behind(self) -> list[psutil.Process]:
        """Return servers that an earlier, killed start of this data folder has left running."""
        left: list[psutil.Process] = []
        for known in _read(self._record).get("servers", []):
            with contextlib.suppress(psutil.Error, KeyError, TypeError):
                process = psutil.Process(known["pid"])
                if process.create_time() == known["created"]:
                    left.append(process)
        return left

    def remember(self, pids: Iterable[int], *, main_url: str | None, tools_url: str | None) -> None:
        """Write down which servers run now, before anyone can kill us."""
        servers: list[dict[str, object]] = []
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                servers.append({"pid": pid, "created": psutil.Process(pid).create_time()})
        own = {"pid": os.getpid(), "created": psutil.Process().create_time()}
        record = {**own, "main_url": main_url, "tools_url": tools_url, "servers": servers}
        draft = self._record.with_suffix(".new")
        draft.write_text(json.dumps(record), encoding="utf-8")
        draft.replace(self._record)

    def forget(self) -> None:
        self._record.unlink(missing_ok=True)


def end(processes: list[psutil.Process]) -> None:
    """End processes with their children: SIGTERM, then SIGKILL for what is left after some seconds."""
    family = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            family += process.children(recursive=True)
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=_PATIENCE_S)
    for process in {*stubborn, *family}:
        with contextlib.suppress(psutil.Error):
            if process.is_running():
                process.kill()
    psutil.wait_procs(family, timeout=_PATIENCE_S)


def _describe(data_dir: Path, record: Path) -> str:
    known = _read(record)
    address = known.get("main_url") or known.get("tools_url")
    where = f" at {address}" if address else ""
    who = f" (process {known['pid']})" if known.get("pid") else ""
    return (
        f"Twinport already runs{where}{who} with the data folder {data_dir}. "
        "Use that one, stop it with Ctrl-C in its terminal, or start another with --data-dir."
    )


def _read(record: Path) -> dict[str, Any]:
    try:
        known: Any = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", known) if isinstance(known, dict) else {}
