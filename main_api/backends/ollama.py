"""Models that an Ollama server runs, over its native API.

`ollama_wire.py` translates one turn, `ollama_client.py` holds the HTTP. This has been run against servers that speak
Ollama's documented wire format, not against Ollama itself.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import aiohttp

from main_api.backends.ollama_client import OllamaClient
from main_api.backends.ollama_wire import TurnTranslator, chat_messages, chat_options, check_supported, output_format
from main_api.backends.protocol import Capabilities, ModelInfo, ModelRequest
from main_api.events import ModelEvent
from shared.errors import InvalidRequest, TwinportError, UpstreamFailed
from shared.logging import get_logger
from shared.tools_contract import JsonObject

_log = get_logger("ollama")

_FACTS_TTL_S = 300.0
_LOGPROBS_SINCE = (0, 12, 11)

Think = bool | Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """One step of a pull. `total` and `completed` are bytes of the layer named by `digest`, 0 where unknown."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


@dataclass(frozen=True, slots=True)
class _Facts:
    """What `/api/show` says of a model. `abilities` is empty for servers too old to tell."""

    abilities: frozenset[str]
    context_length: int | None
    family: str
    read_at: float


class OllamaBackend:
    """Ask an Ollama server. `num_ctx` (tokens) and `keep_alive` (Ollama's duration) go with every request."""

    def __init__(
        self,
        *,
        base_url: str,
        session: aiohttp.ClientSession,
        num_ctx: int = 8192,
        keep_alive: str = "5m",
        name: str = "ollama",
    ) -> None:
        self._client = OllamaClient(base_url, session)
        self._num_ctx = num_ctx
        self._keep_alive: str | int = int(keep_alive) if re.fullmatch(r"-?\d+", keep_alive) else keep_alive
        self._name = name
        self._facts: dict[str, _Facts] = {}

    @property
    def name(self) -> str:
        return self._name

    async def models(self) -> list[ModelInfo]:
        """List the installed chat models; `loaded` says which are in memory now."""
        tags, running = await asyncio.gather(self._client.ask("GET", "/api/tags"), self._client.ask("GET", "/api/ps"))
        loaded = {model.get("model") or model.get("name") for model in running.get("models") or ()}
        installed: list[JsonObject] = [m for m in tags.get("models") or () if m.get("model") or m.get("name")]
        infos = await asyncio.gather(*(self._info(model, loaded) for model in installed))
        return [info for info in infos if info is not None]

    async def capabilities(self, model: str) -> Capabilities:
        """Say what a model can do, by `/api/show`, remembered for five minutes."""
        facts = await self._facts_of(model)
        context = min(self._num_ctx, facts.context_length) if facts.context_length else self._num_ctx
        return Capabilities(
            tool_mode="native" if "tools" in facts.abilities else "json_schema",
            multiple_choices=False,
            vision="vision" in facts.abilities,
            context_length=context,
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Run one turn; see `Backend.stream`. Closing the iterator closes the connection, which stops Ollama."""
        body = await self._chat_body(request)
        translator = TurnTranslator(request.model, single_call=request.options.get("parallel_tool_calls") is False)
        async with aclosing(self._client.objects("/api/chat", body)) as chunks:
            async for chunk in chunks:
                for event in translator.events(chunk):
                    yield event
                if translator.finished:
                    return
        raise UpstreamFailed("Ollama broke off before the answer was complete; try again.")

    async def pull(self, model: str) -> AsyncGenerator[PullProgress, None]:
        """Let Ollama download a model. Yields its progress; the last `status` is `success`."""
        async with aclosing(self._client.objects("/api/pull", {"model": model, "stream": True})) as steps:
            async for step in steps:
                status: str = step.get("status") or ""
                yield PullProgress(
                    status=status,
                    digest=step.get("digest") or "",
                    total=step.get("total") or 0,
                    completed=step.get("completed") or 0,
                )
                if status == "success":
                    self._facts.pop(model, None)
                    return
        raise UpstreamFailed("Ollama broke off before the model was complete; pull it again, it resumes.")

    async def aclose(self) -> None:
        """Nothing to close: the session belongs to the composition root."""

    async def _chat_body(self, request: ModelRequest) -> JsonObject:
        options = request.options
        check_supported(options)
        body: JsonObject = {
            "model": request.model,
            "messages": chat_messages(request.messages),
            "stream": True,
            "keep_alive": self._keep_alive,
            "options": chat_options(options, num_ctx=self._num_ctx),
        }
        if (schema := output_format(options.get("response_format"))) is not None:
            body["format"] = schema
        if options.get("tools") and options.get("tool_choice") != "none":
            body["tools"] = options["tools"]
        if (think := await self._think(request)) is not None:
            body["think"] = think
        if options.get("logprobs"):
            await self._need_logprobs()
            body["logprobs"] = True
            body["top_logprobs"] = options.get("top_logprobs") or 0
        return body

    async def _think(self, request: ModelRequest) -> Think | None:
        """Decide `think`: the caller's own, else from `reasoning_effort`, else on where the model can.

        It is explicit wherever the model can think, because without it some releases leave the thinking in the
        answer. Only gpt-oss knows levels; the others refuse a word.
        """
        if (explicit := request.options.get("think")) is not None:
            return explicit
        facts = await self._facts_of(request.model)
        if "thinking" not in facts.abilities:
            return None
        effort: str | None = request.options.get("reasoning_effort")
        if facts.family not in {"gptoss", "gpt-oss"}:
            return effort not in {"none", "minimal"}
        levels: dict[str | None, Think] = {"none": "low", "minimal": "low", "low": "low", "high": "high"}
        return levels.get(effort, "medium")

    async def _need_logprobs(self) -> None:
        version: str = (await self._client.ask("GET", "/api/version")).get("version") or ""
        if tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < _LOGPROBS_SINCE:
            raise InvalidRequest(
                f"Ollama gives `logprobs` since 0.12.11 and this one is {version or 'older'}; update it.",
                param="logprobs",
            )

    async def _info(self, model: JsonObject, loaded: set[Any]) -> ModelInfo | None:
        name: str = model.get("model") or model["name"]
        details: JsonObject = model.get("details") or {}
        try:
            capabilities = await self.capabilities(name)
        except TwinportError as error:
            _log.warning("model cannot be described", model=name, error=error.message)
            capabilities = Capabilities(multiple_choices=False, context_length=self._num_ctx)
        facts = self._facts.get(name)
        if facts and facts.abilities and "completion" not in facts.abilities:
            return None  # an embedding model
        described = (details.get("family"), details.get("parameter_size"), details.get("quantization_level"))
        return ModelInfo(
            id=f"{self._name}/{name}",
            owned_by="ollama",
            created=_seconds(model.get("modified_at")),
            description=" ".join(word for word in described if word) or None,
            loaded=name in loaded,
            size_bytes=model.get("size"),
            capabilities=capabilities,
        )

    async def _facts_of(self, model: str) -> _Facts:
        known = self._facts.get(model)
        if known and time.monotonic() - known.read_at < _FACTS_TTL_S:
            return known
        shown = await self._client.ask("POST", "/api/show", {"model": model})
        info: JsonObject = shown.get("model_info") or {}
        details: JsonObject = shown.get("details") or {}
        facts = _Facts(
            abilities=frozenset(shown.get("capabilities") or ()),
            context_length=next((v for k, v in info.items() if k.endswith(".context_length")), None),
            family=str(details.get("family") or ""),
            read_at=time.monotonic(),
        )
        self._facts[model] = facts
        return facts


def _seconds(timestamp: str | None) -> int:
    try:
        return int(datetime.fromisoformat(timestamp or "").timestamp())
    except ValueError:
        return 0
