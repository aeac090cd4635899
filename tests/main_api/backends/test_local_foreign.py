"""LLAMACPP_ENGINE's other two choices, with a stand-in program in the place of the real ones."""

import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from main_api.backends.engine import EngineOptions, EngineUnavailable
from main_api.backends.engine_pool import EnginePool
from main_api.backends.local import LocalBackend
from main_api.backends.local_launch import LlamaCpp
from main_api.backends.protocol import ModelRequest
from main_api.events import ChoiceFinished, TextDelta

pytestmark = pytest.mark.slow

STAND_IN = Path(__file__).with_name("engine_server.py")
REQUEST = ModelRequest(model="twinport-tiny", messages=[{"role": "user", "content": "Hello"}])


@pytest.fixture
async def pool(session: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[EnginePool]:
    pool = EnginePool(EngineOptions(log_dir=tmp_path / "logs"), session)
    yield pool
    await pool.aclose()


def program(folder: Path) -> tuple[str, Path]:
    """Write an executable that notes its arguments and then speaks the protocol."""
    notes, path = folder / "notes.json", folder / "llama-server"
    command = shlex.join([sys.executable, str(STAND_IN), "--argv", str(notes)])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return str(path), notes


@pytest.mark.parametrize("engine", ["llama-server", "llama-cpp-python"])
async def test_foreign_program_is_supervised_like_our_own(pool: EnginePool, tmp_path: Path, engine: Any) -> None:
    path, notes = program(tmp_path)
    local = LocalBackend(
        models_dir=tmp_path / "models", engines=pool, llamacpp=LlamaCpp(engine=engine, binary=path, python=path)
    )
    events = [event async for event in local.stream(REQUEST)]
    assert events == [TextDelta("x"), ChoiceFinished("stop")]
    noted: dict[str, Any] = json.loads(notes.read_text())
    argv: list[str] = noted["argv"]
    assert noted["key"]  # it answered, so its key was the one that we sent
    assert argv[argv.index("--port") + 1].isdecimal()
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert argv[argv.index("--model") + 1].endswith("twinport-tiny.gguf")
    await pool.aclose()
    async with asyncio.timeout(30):
        while psutil.pid_exists(noted["pid"]):
            await asyncio.sleep(0.01)


async def test_killing_the_wrapper_kills_the_program(pool: EnginePool, tmp_path: Path) -> None:
    path, notes = program(tmp_path)
    local = LocalBackend(models_dir=tmp_path, engines=pool, llamacpp=LlamaCpp(engine="llama-server", binary=path))
    assert [event async for event in local.stream(REQUEST)]
    pid = pool.status()[0].pid
    assert pid is not None
    psutil.Process(pid).kill()
    program_pid: int = json.loads(notes.read_text())["pid"]
    async with asyncio.timeout(30):
        while psutil.pid_exists(program_pid):
            await asyncio.sleep(0.01)


async def test_missing_program_is_named(pool: EnginePool, tmp_path: Path) -> None:
    llamacpp = LlamaCpp(engine="llama-server", binary="/nonexistent/llama-server")
    local = LocalBackend(models_dir=tmp_path, engines=pool, llamacpp=llamacpp)
    with pytest.raises(EngineUnavailable, match="llama-server is not installed") as caught:
        assert [event async for event in local.stream(REQUEST)]
    assert "/nonexistent" not in caught.value.message
