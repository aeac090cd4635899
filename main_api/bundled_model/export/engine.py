"""llama.cpp as the product starts it, asked directly: for the tokens of a text, for a prompt, for a greedy answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from main_api.backends.engine import EngineOptions
from main_api.backends.engine_process import EngineProcess
from main_api.backends.gguf import read_facts
from main_api.backends.local_launch import LlamaCpp
from main_api.backends.local_models import LocalModel

_NAME = "checked"
_START_TIMEOUT_S = 600.0
_ANSWER_TIMEOUT_S = 600.0
"""Generous: the machine may be training meanwhile."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, without the token that ends it; `ended` tells whether that came before the limit."""

    tokens: list[int]
    ended: bool


class LlamaCppServer:
    """One running child. Every request raises `aiohttp.ClientError` if it is refused."""

    def __init__(self, session: aiohttp.ClientSession, process: EngineProcess) -> None:
        self._session = session
        self._process = process

    async def tokens(self, text: str) -> list[int]:
        """Return the ids of `text`, special tokens in it included."""
        body = {"content": text, "add_special": False, "parse_special": True}
        return (await self._ask("/tokenize", body))["tokens"]

    async def text(self, tokens: Sequence[int]) -> str:
        return (await self._ask("/detokenize", {"tokens": list(tokens)}))["content"]

    async def prompt(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str:
        """Return what the chat template in the file makes of a request."""
        body = {"messages": messages, **({"tools": tools} if tools else {})}
        return (await self._ask("/apply-template", body))["prompt"]

    async def greedy(self, prompt: Sequence[int], limit: int) -> Written:
        """Return the likeliest continuation of `prompt`, at most `limit` tokens."""
        body = {
            "prompt": list(prompt),
            "n_predict": limit,
            "temperature": 0,
            "return_tokens": True,
            "cache_prompt": False,
        }
        answer = await self._ask("/completion", body)
        ended = answer["stop_type"] == "eos"
        return Written(answer["tokens"][:-1] if ended else answer["tokens"], ended)

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._process.api_key}"}
        async with self._session.post(self._process.url + path, json=body, headers=headers) as response:
            response.raise_for_status()
            return await response.json()


@asynccontextmanager
async def serving(gguf: Path) -> AsyncGenerator[LlamaCppServer]:
    """Run `gguf` in the product's own child process, one request at a time."""
    timeout = aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S)
    with TemporaryDirectory() as folder:
        options = EngineOptions(log_dir=Path(folder), slots=1, threads=1)
        launch = LlamaCpp().spec(_NAME, _model(gguf), options).launch
        connector = aiohttp.TCPConnector(force_close=True)  # the server closes idle ones when it likes
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            log = Path(folder) / "engine.log"
            process = await EngineProcess.start(launch, session=session, log_file=log, timeout_s=_START_TIMEOUT_S)
            try:
                yield LlamaCppServer(session, process)
            finally:
                await process.stop()


def _model(gguf: Path) -> LocalModel:
    size = gguf.stat().st_size
    return LocalModel(name=_NAME, path=gguf, size_bytes=size, modified=0, version="", facts=read_facts(gguf))
