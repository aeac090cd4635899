"""One life of the encoder's child: started, greeted, spoken with, ended.

The child's stdin is one end of a socket pair. When this process ends, however it ends, the kernel closes the other end,
and the child goes too.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.logging import get_logger
from tools_api.embeddings.files import find_model
from tools_api.embeddings.frames import HEAD, BrokenFrame, Kind, pack, unpack_head
from tools_api.embeddings.options import EncoderOptions, thread_count

_log = get_logger("encoder")
_ROOT = Path(__file__).resolve().parents[2]
_PYTHONPATH = [str(_ROOT)]
_LAST_WORDS = 5
_END_S = 2.0
"""How long a child that closed its socket may take to be gone."""
_PASSED_ON = ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PASSED_ON_PREFIXES = ("HF_", "CUDA_", "NVIDIA_", "OMP_", "MKL_", "TORCH_", "PYTORCH_")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class ChildLost(Exception):
    """The child ended, or sent what is no frame. The message has its last words."""


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    call: int
    first: int
    body: bytes


class Child:
    """A running child."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self.words: deque[str] = deque(maxlen=_LAST_WORDS)
        """What it printed last."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Send a frame, without waiting. If the child is gone, reading tells."""
        self._writer.write(frame)

    async def receive(self) -> Frame:
        """Return its next frame. Raises `ChildLost`."""
        try:
            kind, call, first, size = unpack_head(await self._reader.readexactly(HEAD.size))
            return Frame(kind, call, first, await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError, BrokenFrame, struct.error):
            await self._end(within_s=_END_S)
            raise ChildLost("\n".join(self.words)) from None

    def kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def aclose(self) -> None:
        self._writer.close()
        await self._end(within_s=0)

    async def _end(self, *, within_s: float) -> None:
        """Wait for its end, at most so long, and then see to it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._process.wait()
        self.kill()
        await self._process.wait()


@asynccontextmanager
async def running_child(options: EncoderOptions) -> AsyncGenerator[Child]:
    """Start a child and tell it what to load; end it afterwards. Raises `OSError` if it can't be started."""
    ours, its = socket.socketpair()
    with its:
        try:
            process = await _spawn(options, its)
        except OSError:
            ours.close()
            raise
    reader, writer = await asyncio.open_connection(sock=ours)
    child = Child(process, reader, writer)
    listening = asyncio.create_task(_listen(process, child.words.append))
    try:
        child.send(pack(Kind.HELLO, json.dumps(_wanted(options)).encode()))
        yield child
    finally:
        await child.aclose()
        await listening


async def _spawn(options: EncoderOptions, its: socket.socket) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tools_api.embeddings.child",
        stdin=its.fileno(),
        stdout=DEVNULL,
        stderr=PIPE,
        cwd=_ROOT,
        env=_environment(options),
        start_new_session=True,  # Ctrl-C in a terminal is for the server, which then ends its child
    )


def _wanted(options: EncoderOptions) -> dict[str, Any]:
    return {
        "model": None if options.remote else options.model,  # another API makes the vectors: pairs are all it ranks
        "downloads": str(options.downloads),
        "rerank_model": options.rerank_model,
        "threads": thread_count(options),
        "device": options.device,
    }


def _environment(options: EncoderOptions) -> dict[str, str]:
    """Return what the child needs of the environment: no secret of ours is among it."""
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES) or name.lower() in _PROXIES
    }
    wanted = [None if options.remote else options.model, options.rerank_model]
    here = all(find_model(name, options.downloads) is not None for name in wanted if name)
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **({"HF_ENDPOINT": options.hub_url} if options.hub_url else {}),
        **({"HF_HUB_OFFLINE": "1"} if here else {}),
        **passed_on,
        "HOME": str(options.downloads),
        "HF_HOME": str(options.downloads / ".hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",  # a batch has one thread, see child/serving.py
        "MKL_NUM_THREADS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONPATH": os.pathsep.join(_PYTHONPATH),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


async def _listen(process: Process, keep: Callable[[str], None]) -> None:
    """Write what the child prints to the log, a line at a time."""
    assert process.stderr is not None  # noqa: S101 -- it is a pipe; this is for the type checker
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # a line without an end
            continue
        if not line:
            return
        if text := line.decode("utf-8", "replace").strip():
            keep(text[:500])
            _log.info("encoder_said", text=text[:500])
