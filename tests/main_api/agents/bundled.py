"""The bundled model in its real engine, in this process, behind `ChatModel`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import xllamacpp

from main_api.backends.protocol import Capabilities, Message
from main_api.events import ChoiceFinished, ModelEvent, TextDelta, Usage, UsageReported

MODEL = Path(__file__).parents[3] / "main_api/backends/bundled/twinport-tiny.gguf"


def start_engine() -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path = str(MODEL)
    params.n_ctx, params.n_parallel = 2048, 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # more wait for each other on a busy machine
    params.fit_params, params.cache_ram_mib, params.verbosity, params.use_jinja = False, 0, -1, True
    return xllamacpp.Server(params)


class BundledModel:
    """Asks the engine over its own loopback port, as the backend does."""

    name = "local/twinport-tiny"
    capabilities = Capabilities(
        tool_mode="json_schema", tool_prompt="signature", context_length=1024, multiple_choices=True
    )

    def __init__(self, engine: xllamacpp.Server, session: aiohttp.ClientSession) -> None:
        self._url = f"{engine.listening_address}/v1/chat/completions"
        self._session = session
        self.prompt_tokens: list[int] = []

    async def stream(self, messages: Sequence[Message], **options: Any) -> AsyncIterator[ModelEvent]:
        body = {**options, "messages": list(messages), "stream": True, "stream_options": {"include_usage": True}}
        async with self._session.post(self._url, json=body) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                if line.startswith(b"data: {"):
                    for event in self._events(orjson.loads(line[6:])):
                        yield event
                await asyncio.sleep(0)

    def _events(self, chunk: dict[str, Any]) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        for choice in chunk["choices"]:
            if choice["delta"].get("content"):
                events.append(TextDelta(choice["delta"]["content"]))
            if choice.get("finish_reason"):
                events.append(ChoiceFinished(choice["finish_reason"]))
        if usage := chunk.get("usage"):
            self.prompt_tokens.append(usage["prompt_tokens"])
            events.append(UsageReported(Usage(usage["prompt_tokens"], usage["completion_tokens"]), self.name))
        return events
