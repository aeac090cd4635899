"""`twinport models` against a small local server that hands out a file, and can break off."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from cli.app import app
from main_api.backends.local_models import BUNDLED_PATH
from shared.errors import TwinportError
from tests.cli.pseudo_terminal import Terminal


class FileServer:
    """Serves the bundled model under another name. `stall_at`: send so many bytes, then nothing."""

    def __init__(self) -> None:
        self.content = BUNDLED_PATH.read_bytes()
        self.url = ""
        self.stall_at: int | None = None
        self.ranges: list[str | None] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("range")
        self.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = self.content[start:]
        headers = {"content-length": str(len(body)), "etag": '"one"', "accept-ranges": "bytes"}
        if wanted:
            headers["content-range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        response = web.StreamResponse(status=206 if wanted else 200, headers=headers)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        if self.stall_at is None:
            await response.write(body)
        else:
            await response.write(body[: self.stall_at])
            await asyncio.sleep(60)
        return response


@pytest.fixture
def files() -> Iterator[FileServer]:
    server = FileServer()
    application = web.Application()
    application.router.add_get("/tiny.gguf", server.serve)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.2)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/tiny.gguf"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def models(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], env={"DATA_DIR": str(data_dir)})


def test_the_bundled_model_is_always_listed(tmp_path: Path) -> None:
    result = models(tmp_path, "list")
    assert result.exit_code == 0
    assert "bundled" in result.stdout


def test_a_pulled_model_is_whole_listed_and_can_be_removed(files: FileServer, tmp_path: Path) -> None:
    result = models(tmp_path, "pull", files.url)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "local/tiny is here (6.1 MB).\n"
    pulled = tmp_path / "models" / "tiny.gguf"
    assert hashlib.sha256(pulled.read_bytes()).digest() == hashlib.sha256(files.content).digest()
    assert "local/tiny " in models(tmp_path, "list").stdout
    assert "Removed tiny" in models(tmp_path, "remove", "local/tiny").stdout
    assert not pulled.exists()


def test_ctrl_c_keeps_the_part_and_the_same_command_goes_on(files: FileServer, tmp_path: Path) -> None:
    files.stall_at = 2_000_000
    terminal = Terminal("models", "pull", files.url, DATA_DIR=str(tmp_path), COLUMNS="100", TERM="xterm")
    part = tmp_path / "models" / "tiny.gguf.part"
    terminal.until("tiny.gguf")
    while not part.exists() or part.stat().st_size < 1_000_000:
        terminal.until("MB")  # the bar moves on
    terminal.type("\x03")
    terminal.until("The same command goes on where it stopped.")
    assert terminal.leave() == 130
    kept = part.stat().st_size
    files.stall_at = None
    assert models(tmp_path, "pull", files.url).exit_code == 0
    assert files.ranges[-1] == f"bytes={kept}-"
    assert (tmp_path / "models" / "tiny.gguf").read_bytes() == files.content


def test_a_pull_holds_the_file_against_the_checksum_that_was_given(files: FileServer, tmp_path: Path) -> None:
    digest = hashlib.sha256(files.content).hexdigest()
    wrong = models(tmp_path, "pull", files.url, "--sha256", "0" * 64)
    assert isinstance(wrong.exception, TwinportError)
    assert digest in wrong.exception.message
    assert list((tmp_path / "models").iterdir()) == []
    assert models(tmp_path, "pull", files.url, "--sha256", digest).exit_code == 0


@pytest.mark.parametrize("wrong", ["abc", "g" * 64, "0" * 63, ""])
def test_a_checksum_that_is_none_is_refused_in_a_sentence(files: FileServer, tmp_path: Path, wrong: str) -> None:
    refused = models(tmp_path, "pull", files.url, "--sha256", wrong).exception
    assert isinstance(refused, TwinportError)
    assert "64 hexadecimal digits" in refused.message
    assert files.ranges == []


def test_an_unfinished_pull_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "half.gguf.part").write_bytes(b"x" * 10)
    result = models(tmp_path, "remove", "half")
    assert result.stdout == "Removed the unfinished pull of half; 10 B are free again.\n"


def test_the_bundled_model_stays(tmp_path: Path) -> None:
    name = BUNDLED_PATH.stem
    assert isinstance(models(tmp_path, "remove", name).exception, TwinportError)
    assert BUNDLED_PATH.exists()
