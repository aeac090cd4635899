"""mlx-lm for one model folder, in a process of its own: `python -m main_api.backends.engines.mlx_child …`.

Runs mlx_lm.server's own handler and generator, with what they lack: a key, the bound port announced, readiness only
when the model is loaded, an end when its generating thread dies, one fixed model (the fields `model`, `adapters` and
`draft_model` would load any folder of this machine), and a prompt that is too long refused in OpenAI's words instead
of running on beyond what the model was trained with.
"""

import argparse
import hmac
import importlib
import io
import os
import sys
import threading
import time
from email.message import Message
from http.server import ThreadingHTTPServer
from typing import Any

import orjson

from main_api.backends.engines.lifeline import Lifeline, attach
from main_api.backends.engines.mlx_stop import StoppingGenerator

_LARGEST_BODY = 33_554_432
_CHAT_PATHS = {"/v1/chat/completions", "/chat/completions"}
_PROMPT_CACHE_BYTES = "512MB"


def main() -> None:
    """Serve the model named on the command line until the parent goes."""
    lifeline = attach()
    arguments = _parse()
    try:
        server: Any = importlib.import_module("mlx_lm.server")
    except ImportError:
        lifeline.failed("mlx-lm is not installed; install the extra `mlx`")

    def run(_host: str, _port: int, provider: Any) -> None:
        _run(server, provider, arguments, lifeline)

    server.run = run  # its main() parses all its defaults for us and then calls this
    sys.argv = [
        "mlx_lm.server", "--model", arguments.model, "--log-level", "WARNING",
        "--max-tokens", str(arguments.context), "--prompt-cache-bytes", _PROMPT_CACHE_BYTES,
        "--decode-concurrency", str(arguments.slots), "--prompt-concurrency", str(arguments.slots),
    ]  # fmt: skip
    server.main()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the folder of the model")
    parser.add_argument("--alias", required=True, help="the public name that answers carry")
    parser.add_argument("--slots", type=int, required=True, help="requests that are batched together")
    parser.add_argument("--context", type=int, required=True, help="context window, in tokens")
    return parser.parse_args()


def _run(server: Any, provider: Any, arguments: argparse.Namespace, lifeline: Lifeline) -> None:
    provider._model_map[arguments.alias] = arguments.model
    generator = server.ResponseGenerator(provider, server.LRUPromptCache(provider.cli_args.prompt_cache_size))
    while provider.model is None or provider.tokenizer is None:
        if not generator.is_healthy:  # it has written the reason to the log
            os._exit(1)
        time.sleep(0.02)
    handler = _handler(server, StoppingGenerator(generator), Gate(provider.tokenizer, arguments, lifeline.api_key))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    threading.Thread(target=_end_with, args=(generator,), daemon=True).start()
    lifeline.ready(f"http://127.0.0.1:{httpd.server_port}")
    lifeline.hold()


def _end_with(generator: Any) -> None:
    """End the process when nothing generates any more, so that the supervisor starts a new one."""
    generator.join()
    os._exit(1)


class Refused(Exception):
    """A request that does not reach the model; `status` and `error` are the answer."""

    def __init__(self, status: int, message: str, **fields: object) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, **fields}


class Gate:
    """Decides which requests reach mlx-lm, and makes them safe for it."""

    def __init__(self, tokenizer: Any, arguments: argparse.Namespace, api_key: str) -> None:
        self._tokenizer = tokenizer
        self._tokenizing = threading.Lock()  # the Rust tokenizer does not like to be changed by two threads
        self._alias = arguments.alias
        self._context = arguments.context
        self._api_key = api_key

    def check(self, headers: Message) -> int:
        """Check the key and return the length of the body. Raises `Refused`."""
        if not hmac.compare_digest(headers.get("Authorization", ""), f"Bearer {self._api_key}"):
            raise Refused(401, "This engine is private to its parent process")
        length = headers.get("Content-Length", "")
        if not length.isdecimal() or not 0 < int(length) <= _LARGEST_BODY:
            raise Refused(413, "The body is empty, too large, or of unknown length")
        return int(length)

    def admit(self, path: str, raw: bytes) -> bytes:
        """Return the body that mlx-lm may see. Raises `Refused`."""
        if path not in _CHAT_PATHS:
            raise Refused(404, "Not found")
        try:
            body: dict[str, Any] = orjson.loads(raw)
            messages: list[dict[str, Any]] = orjson.loads(raw)["messages"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise Refused(400, "The body must be a JSON object with 'messages'", param="messages") from None
        for field in ("adapters", "draft_model", "num_draft_tokens", "role_mapping"):
            body.pop(field, None)
        body["model"] = self._alias
        room = self._context - self._count(messages, body)
        body["max_tokens"] = max(
            1, min(body.pop("max_completion_tokens", None) or body.get("max_tokens") or room, room)
        )
        return orjson.dumps(body)

    def _count(self, messages: list[dict[str, Any]], body: dict[str, Any]) -> int:
        server: Any = importlib.import_module("mlx_lm.server")
        template: dict[str, Any] = body.get("chat_template_kwargs") or {}
        try:
            with self._tokenizing:
                server.process_message_content(messages)
                tokens = self._tokenizer.apply_chat_template(
                    messages, add_generation_prompt=True, tools=body.get("tools") or None, tokenize=True, **template
                )
        except Exception as error:
            raise Refused(400, "The model's chat template cannot render these messages", param="messages") from error
        if len(tokens) >= self._context:
            raise Refused(
                400, "The prompt is too long", type="exceed_context_size_error",
                n_prompt_tokens=len(tokens), n_ctx=self._context,
            )  # fmt: skip
        return len(tokens)


def _handler(server: Any, generator: Any, gate: Gate) -> Any:
    class Handler(server.APIHandler):
        """mlx-lm's handler behind the gate."""

        def __init__(self, *args: Any) -> None:
            super().__init__(generator, *args, system_fingerprint="mlx")  # pyright: ignore[reportUnknownMemberType]

        def do_GET(self) -> None:  # noqa: N802  http.server's names
            if self.path == "/health":
                self.handle_health_check()
            else:
                self._refuse(Refused(404, "Not found"))

        def do_POST(self) -> None:  # noqa: N802
            try:
                length = gate.check(self.headers)
                admitted = gate.admit(self.path, self.rfile.read(length))
            except Refused as refused:
                self._refuse(refused)
                return
            self.rfile = io.BytesIO(admitted)
            self.headers.replace_header("Content-Length", str(len(admitted)))
            super().do_POST()  # pyright: ignore[reportUnknownMemberType]

        def _refuse(self, refused: Refused) -> None:
            self._set_completion_headers(refused.status)
            self.end_headers()
            self.wfile.write(orjson.dumps({"error": refused.error}))

    return Handler


if __name__ == "__main__":
    main()
