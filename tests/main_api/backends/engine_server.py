"""A stand-in for an engine, run as a child by the tests of the supervisor: it speaks the lifeline and a little HTTP.

`--crash-after-s N` dies by itself, `--crash-when-asked` at each request, `--fail REASON`, `--hang` and
`--garbage` never get ready, `--argv FILE` writes its arguments and its key's variable down.
"""

import argparse
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

CHUNK = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


class Handler(BaseHTTPRequestHandler):
    key = ""
    crashes = False

    def log_message(self, format: str, *args: object) -> None:
        print(format % args, file=sys.stderr)

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.crashes:
            crash()
        if self.headers["Authorization"] != f"Bearer {self.key}":
            self.send_response(401)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for data in (json.dumps(CHUNK), json.dumps(LAST), "[DONE]"):
            self.wfile.write(f"data: {data}\n\n".encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--crash-after-s", type=float)
    parser.add_argument("--crash-when-asked", action="store_true")
    parser.add_argument("--fail")
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--garbage", action="store_true")
    parser.add_argument("--start-s", type=float, default=0)
    parser.add_argument("--megabytes", type=int, default=0)
    parser.add_argument("--argv", type=Path)
    parser.add_argument("--port", type=int)
    arguments, _ = parser.parse_known_args()
    if arguments.port is not None:  # run as a foreign program by command_child
        foreign(arguments)
        return

    from main_api.backends.engines.lifeline import attach

    lifeline = attach()
    ballast = b"x" * (arguments.megabytes << 20)
    if arguments.garbage:
        os.write(lifeline._announcements.fileno(), b"hello there\n")
    if arguments.hang or arguments.garbage:
        lifeline.hold()
    if arguments.fail:
        lifeline.failed(arguments.fail)
    time.sleep(arguments.start_s)
    Handler.key = lifeline.api_key
    Handler.crashes = arguments.crash_when_asked
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lifeline.ready(f"http://127.0.0.1:{server.server_port}")
    if arguments.crash_after_s is not None:
        time.sleep(arguments.crash_after_s)
        crash()
    lifeline.hold()
    del ballast


def crash() -> NoReturn:
    print("ggml: failed to allocate buffer in /srv/secret/path", file=sys.stderr, flush=True)
    os._exit(134)


def foreign(arguments: argparse.Namespace) -> None:
    key = os.environ.get("LLAMA_API_KEY") or os.environ.get("API_KEY", "")
    if arguments.argv:
        arguments.argv.write_text(json.dumps({"argv": sys.argv[1:], "key": bool(key), "pid": os.getpid()}))
    Handler.key = key
    ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
