"""A stand-in for a server: answers /health on a port, starts a child of its own, ends on SIGTERM.

python fake_server.py PORT [--die-after N] [--fail] [--stubborn]
"""

import argparse
import json
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--die-after", type=int, help="exit with status 3 after this many answers")
parser.add_argument("--fail", action="store_true")
parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
arguments = parser.parse_args()

if arguments.fail:
    print(json.dumps({"level": "error", "event": "could not read the map", "error": "MapError"}), flush=True)
    sys.exit(7)

child = subprocess.Popen(["sleep", "600"])
print(f"child {child.pid}", flush=True)
answers = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        global answers  # noqa: PLW0603
        answers += 1
        if self.path == "/die" or answers == arguments.die_after:
            print("the fake dies", flush=True)
            child.kill()
            import os

            os._exit(3)
        body = json.dumps({"status": "OK", "message": "fine", "child": child.pid}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


def stop(_number: int, _frame: object) -> None:
    if not arguments.stubborn:
        sys.exit(0)


signal.signal(signal.SIGTERM, stop)
ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler).serve_forever()
