"""Runs the agent inside the sandbox and gives it a model on loopback. A script for the supervisor's fork.

The listener knows no address, no key and no rule: it turns each HTTP request into one frame on the channel that the
sandbox was given, and the frames that come back into an answer. What may pass is decided at the other end (`relay.py`).

Payload: JSON with `node` (its path), `prompt`, `model`, `turns` and `config` (nanocoder's agents.config.json). The
report holds NUL-separated fields: `kind`, `text`, `message`, `input_tokens`, `output_tokens`, and one `call` for each
tool call.
"""

from __future__ import annotations

import http.server
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CLI = "/opt/nanocoder/node_modules/@nanocollective/nanocoder/dist/cli.js"
PACKAGES = "/opt/packages"
HOME = "/tmp"  # noqa: S108 - the sandbox's own
OWN_FOLDER = ".nanocoder"
"""Where the agent keeps its notes in the folder that it works in; no result of the task."""
MAX_REPORT = 8 << 20
MAX_ANSWER = 1 << 20
MAX_TEXT = 100_000
MAX_MESSAGE = 2000
MAX_CALLS = 200
MAX_CALL = 300
REQUEST, CANCEL, HEAD, DATA, END, BROKEN = range(1, 7)
HEADER = struct.Struct("!BII")

Frame = tuple[int, bytes]
Fields = list[tuple[str, str]]


class Channel:
    """The socket to the relay, shared by the threads that answer requests. Each exchange has a queue of frames."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._sending = threading.Lock()
        self._exchanges: dict[int, queue.SimpleQueue[Frame]] = {}
        self._next = 0
        self._over = False
        threading.Thread(target=self._receive, daemon=True).start()

    def open(self, content: bytes) -> tuple[int, queue.SimpleQueue[Frame]]:
        """Send a request; its answer comes through the queue."""
        frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        with self._sending:
            self._next += 1
            exchange = self._next
            self._exchanges[exchange] = frames
            if self._over:
                frames.put((BROKEN, b""))
            else:
                self._send(REQUEST, exchange, content)
        return exchange, frames

    def close(self, exchange: int, *, cancel: bool) -> None:
        """Forget an exchange, and say so if its answer is no longer wanted."""
        self._exchanges.pop(exchange, None)
        if cancel:
            with self._sending:
                self._send(CANCEL, exchange, b"")

    def _send(self, kind: int, exchange: int, content: bytes) -> None:
        try:
            self._socket.sendall(HEADER.pack(kind, exchange, len(content)) + content)
        except OSError:
            self._end()

    def _receive(self) -> None:
        try:
            while True:
                kind, exchange, length = HEADER.unpack(self._exactly(HEADER.size))
                content = self._exactly(length)
                if frames := self._exchanges.get(exchange):
                    frames.put((kind, content))
        except OSError:
            self._end()

    def _exactly(self, size: int) -> bytes:
        pieces = bytearray()
        while len(pieces) < size:
            piece = self._socket.recv(size - len(pieces))
            if not piece:
                raise ConnectionResetError
            pieces += piece
        return bytes(pieces)

    def _end(self) -> None:
        self._over = True
        for frames in list(self._exchanges.values()):
            frames.put((BROKEN, b""))


class Handler(http.server.BaseHTTPRequestHandler):
    """Passes one HTTP request to the relay and its answer back."""

    protocol_version = "HTTP/1.1"
    channel: Channel
    last_answer = b""
    """The latest answer that came to its end, for `_last_words`."""

    def do_GET(self) -> None:
        self._pass(b"")

    def do_POST(self) -> None:
        self._pass(self.rfile.read(int(self.headers.get("content-length", "0"))))

    def _pass(self, body: bytes) -> None:
        head = f"{self.command}\0{self.path}\0".encode("ascii", "replace")
        exchange, frames = self.channel.open(head + body)
        finished = False
        try:
            finished = self._answer(frames)
        except OSError:
            self.close_connection = True
        finally:
            self.channel.close(exchange, cancel=not finished)

    def _answer(self, frames: queue.SimpleQueue[Frame]) -> bool:
        """Write the answer as it comes; say whether the relay has ended it."""
        kind, content = frames.get()
        if kind != HEAD:
            self.send_error(502, "the relay has ended")
            return True
        status, _, media_type = content.decode().partition("\0")
        self.send_response(int(status))
        self.send_header("content-type", media_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        answer = bytearray()
        while True:
            kind, content = frames.get()
            if kind == DATA and content:
                answer += content[: MAX_ANSWER - len(answer)]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
            elif kind == END:
                self.wfile.write(b"0\r\n\r\n")
                Handler.last_answer = bytes(answer)
                return True
            elif kind == BROKEN:
                self.close_connection = True  # without the last chunk: the client sees that it is not whole
                return True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: stderr is the agent's."""


def main(payload: bytes, report: Callable[[bytes], None]) -> None:
    """Run the agent on the task in `payload` and report."""
    task: dict[str, Any] = json.loads(payload)
    Handler.channel = Channel(int(os.environ.pop("SANDBOX_CHANNEL")))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _prepare(task["config"])
    said, status = _run_agent(task, port=server.server_port)
    _remove_own_folder()
    fields = _read(said) or [("kind", "broken"), ("message", f"nanocoder ended with status {status} and no report")]
    report(b"\0".join(_clean(part) for pair in fields for part in pair))
    os._exit(0 if dict(fields)["kind"] == "success" else 1)


def _prepare(config: dict[str, Any]) -> None:
    """Put the agent's configuration, this Python and matplotlib's list of fonts where they are looked for."""
    for folder in ("bin", "config", ".matplotlib"):
        os.makedirs(f"{HOME}/{folder}", exist_ok=True)  # noqa: PTH103 - pathlib costs milliseconds here
    for name in ("python", "python3"):
        os.symlink(sys.executable, f"{HOME}/bin/{name}")  # noqa: PTH211
    with open(f"{HOME}/config/agents.config.json", "w") as file:  # noqa: PTH123
        json.dump(config, file)
    shipped = f"{PACKAGES}/.matplotlib"
    for name in os.listdir(shipped) if os.path.isdir(shipped) else ():  # noqa: PTH112, PTH208
        os.symlink(f"{shipped}/{name}", f"{HOME}/.matplotlib/{name}")  # noqa: PTH211


def _run_agent(task: dict[str, Any], *, port: int) -> tuple[bytes, int]:
    """Return what it printed, at most `MAX_REPORT` bytes, and its exit status."""
    provider = {"name": "twinport", "baseUrl": f"http://127.0.0.1:{port}/v1", "models": [task["model"]]}
    env = {
        **os.environ,
        "PATH": f"{HOME}/bin:{os.environ['PATH']}",
        "NANOCODER_CONFIG_DIR": f"{HOME}/config",
        "NANOCODER_DATA_DIR": f"{HOME}/data",
        "NANOCODER_PROVIDERS": json.dumps([provider]),
        "NANOCODER_MAX_TURNS": str(task["turns"]),
        "NANOCODER_LOG_DISABLE_FILE": "true",
        "NODE_DISABLE_COMPILE_CACHE": "1",
        "NO_COLOR": "1",
    }
    command = [task["node"], CLI, "--plain", "--json", "--trust-directory", "--mode", "yolo", "run", task["prompt"]]
    agent = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    stream = agent.stdout
    said = stream.read(MAX_REPORT) if stream else b""
    if stream and stream.read(1):
        agent.send_signal(signal.SIGKILL)
    return said, agent.wait()


def _remove_own_folder() -> None:
    import shutil

    shutil.rmtree(OWN_FOLDER, ignore_errors=True)


def _read(said: bytes) -> Fields | None:
    """Read nanocoder's JSON report, in which the agent's model may have written what it liked."""
    try:
        report: dict[str, Any] = json.loads(said)
        usage: dict[str, Any] = report.get("usage") or {}
        calls: list[dict[str, Any]] = report["toolCalls"]
        return [
            ("kind", str(report["kind"])),
            ("text", _last_words(str(report["finalText"]))[:MAX_TEXT]),
            ("message", str(report.get("message") or "")[:MAX_MESSAGE]),
            ("input_tokens", str(usage.get("inputTokens", ""))),
            ("output_tokens", str(usage.get("outputTokens", ""))),
            *(("call", _call(call)) for call in calls[:MAX_CALLS]),
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _last_words(text: str) -> str:
    """Cut `text` down to its last turn: nanocoder puts what was said in all turns together, without a space between."""
    words = ""
    for line in Handler.last_answer.split(b"\n"):
        if line.startswith(b"data: {"):
            chunk: dict[str, Any] = json.loads(line[6:])
            words += "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
    return words if words.strip() and text.endswith(words) else text


def _call(call: dict[str, Any]) -> str:
    arguments: dict[str, Any] = call["arguments"]
    shown = arguments.get("command") or arguments.get("path") or json.dumps(arguments)
    failed = " (failed)" if call["error"] else ""
    return f"{call['name']}: {' '.join(str(shown).split())}"[:MAX_CALL] + failed


def _clean(text: str) -> bytes:
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")
