"""Any server that speaks OpenAI's protocol: OpenAI, OpenRouter, vLLM, LM Studio, llama-server, our own engines.

What has to be understood is streamed as events, what does not is relayed as bytes. Retries and fallbacks are the
router's; this backend asks once. Bodies that are read whole are capped, redirects are never followed, and no URL that
an answer mentions is ever fetched.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
import orjson
from yarl import URL

from main_api.backends.openai_wire import ChatStreamReader, MalformedAnswer, SseLines
from main_api.backends.openai_wire_errors import error_from_answer, error_from_stream
from main_api.backends.protocol import Capabilities, ModelInfo, ModelRequest
from main_api.events import ModelEvent
from shared.errors import DeadlineExceeded, InvalidRequest, TwinportError, Unavailable, UpstreamFailed
from shared.single_flight import SingleFlight
from shared.tools_contract import JsonObject

_ERROR_BODY_CAP: Final = 65_536
_LAST_PIECES: Final = 8
_ENDING: Final = 4096
_LARGEST_PIECE: Final = 65_536
_MOST_FIRST_PIECES: Final = 10_000
_DRAIN_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAICompatibleOptions:
    """How one upstream wants to be asked. Times are seconds, sizes bytes.

    `label` is how errors call the upstream. `reports_usage` is off for servers that refuse `stream_options`.
    `fresh_connections` opens one connection a request, for servers that tie a thread to each open one.
    `models` are facts about single models by the upstream's names; the others get `capabilities`.
    """

    label: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)
    models: Mapping[str, Capabilities] = field(default_factory=dict[str, Capabilities])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    reports_usage: bool = True
    fresh_connections: bool = False
    connect_timeout_s: float = 10.0
    silence_timeout_s: float = 300.0
    list_timeout_s: float = 10.0
    list_cached_s: float = 5.0
    largest_answer: int = 33_554_432


class OpenAICompatibleBackend:
    """One upstream. `name` is the prefix of its models' public names, `base_url` ends before `/chat/completions`."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        session: aiohttp.ClientSession,
        api_key: str | None = None,
        options: OpenAICompatibleOptions | None = None,
    ) -> None:
        self._name = name
        self._session = session
        self._options = options or OpenAICompatibleOptions()
        self._label = self._options.label or f"The provider {name}"
        base = URL(base_url.rstrip("/"))
        self._chat_url = base / "chat/completions"
        self._embeddings_url = base / "embeddings"
        self._models_url = base / "models"
        self._headers = _headers(api_key, self._options)
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._options.connect_timeout_s, sock_read=self._options.silence_timeout_s
        )
        self._listed: list[ModelInfo] | None = None
        self._listed_at = 0.0
        self._listing = SingleFlight(self._list)

    @property
    def name(self) -> str:
        return self._name

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        """Run one turn; see `Backend.stream`. Usage is asked for, so `UsageReported` comes last where supported."""
        body = {**request.options, "model": request.model, "messages": request.messages, "stream": True}
        if self._options.reports_usage:
            body["stream_options"] = {"include_usage": True}
        reader = ChatStreamReader(self._label)
        async with self._ask(body) as response:
            if response.content_type == "application/json":
                for event in reader.read_whole(await self._read_answer(response)):
                    yield event
                return
            async for piece in self._pieces(response):
                for event in reader.feed(piece):
                    yield event
                if reader.done:
                    break
            for event in reader.close():
                yield event
            await _drain(response)

    @asynccontextmanager
    async def relay(self, model: str, body: JsonObject) -> AsyncGenerator["RelayedResponse"]:
        """Send `body` for `model` and hand the answer over as bytes; see `RelayBackend.relay`.

        A stream's first event has arrived when the context is entered, so an error in its place is raised here.
        """
        async with self._ask({**body, "model": model}) as response:
            relayed = RelayedResponse(response, self._label, self._options.largest_answer)
            await relayed.open()
            yield relayed

    async def embed(self, body: JsonObject) -> bytes:
        """Make vectors; see `EmbeddingBackend.embed`."""
        async with self._ask(body, at=self._embeddings_url) as response:
            answer = await self._read_answer(response)
        _raise_error_in(answer, self._label)
        return answer

    async def models(self) -> list[ModelInfo]:
        """List the upstream's models; many callers at once make one request, and it is good for a few seconds."""
        if self._listed is not None and time.monotonic() - self._listed_at < self._options.list_cached_s:
            return list(self._listed)
        return list(await self._listing.result())

    async def capabilities(self, model: str) -> Capabilities:
        """Say what a model can do: as configured, else as last listed, else what such servers usually can."""
        if (known := self._options.models.get(model)) is not None:
            return known
        public = f"{self._name}/{model}"
        return next((info.capabilities for info in self._listed or () if info.id == public), self._options.capabilities)

    async def aclose(self) -> None:
        """Stop what runs in the background; the HTTP session belongs to the composition root."""
        await self._listing.aclose()

    @asynccontextmanager
    async def _ask(self, body: Mapping[str, Any], *, at: URL | None = None) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Post `body`, yield the good answer, and close the connection whatever happens inside."""
        data = _encode(body)
        with _Translated(self._label):
            response = await self._session.post(
                at or self._chat_url, data=data, headers=self._headers, timeout=self._timeout, allow_redirects=False
            )
        try:
            if response.status != 200:
                raise await self._refusal(response)
            yield response
        finally:
            response.close()

    async def _refusal(self, response: aiohttp.ClientResponse) -> TwinportError:
        try:
            with _Translated(self._label):
                body = await _read_capped(response, _ERROR_BODY_CAP) or b""
        except UpstreamFailed:
            body = b""  # the status alone says enough
        return error_from_answer(self._label, response.status, response.headers, body)

    async def _read_answer(self, response: aiohttp.ClientResponse) -> bytes:
        with _Translated(self._label):
            body = await _read_capped(response, self._options.largest_answer)
        if body is None:
            raise MalformedAnswer(f"{self._label} sent an answer that is too large")
        return body

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        while True:
            with _Translated(self._label):
                piece = await response.content.readany()
            if not piece:
                return
            yield piece

    async def _list(self) -> list[ModelInfo]:
        timeout = aiohttp.ClientTimeout(total=self._options.list_timeout_s)
        with _Translated(self._label):
            response = await self._session.get(
                self._models_url, headers=self._headers, timeout=timeout, allow_redirects=False
            )
        try:
            if response.status != 200:
                raise await self._refusal(response)
            body = await self._read_answer(response)
        finally:
            response.close()
        self._listed = self._parse_list(body)
        self._listed_at = time.monotonic()
        return self._listed

    def _parse_list(self, body: bytes) -> list[ModelInfo]:
        try:
            entries: list[JsonObject] = orjson.loads(body)["data"]
            return [self._model_info(entry) for entry in entries]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise MalformedAnswer(f"{self._label} sent a list of models that cannot be read") from error

    def _model_info(self, entry: JsonObject) -> ModelInfo:
        model = str(entry["id"])
        known = self._options.models.get(model)
        created = entry.get("created")
        return ModelInfo(
            id=f"{self._name}/{model}",
            owned_by=str(entry.get("owned_by") or self._name),
            created=created if isinstance(created, int) else 0,
            capabilities=known or _listed_capabilities(self._options.capabilities, entry),
        )


class RelayedResponse:
    """An upstream's answer on its way through: whole by `read`, or in pieces by `chunks`; one of the two, once."""

    def __init__(self, response: aiohttp.ClientResponse, label: str, largest: int) -> None:
        self._response = response
        self._label = label
        self._largest = largest
        self._first: list[bytes] = []
        self._streamed = response.content_type == "text/event-stream"

    @property
    def content_type(self) -> str:
        return self._response.headers.get("Content-Type", "application/json")

    async def open(self) -> None:
        """Wait until the answer is known to be one: all of a plain answer, the first event of a stream."""
        if self._streamed:
            await self._await_first_event()
        else:
            self._first = [await self._read_plain()]

    async def read(self) -> bytes:
        """Return the whole body."""
        if not self._streamed:
            return self._first[0]
        return b"".join([piece async for piece in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. A stream that breaks off raises `UpstreamFailed` after its last piece."""
        last: deque[bytes] = deque(self._first, maxlen=_LAST_PIECES)
        for piece in self._first:
            yield piece
        if not self._streamed:
            return
        while piece := await self._next_piece():
            last.append(piece[-_ENDING:])  # pieces are large when the caller reads slowly
            yield piece
        ending = b"".join(last)
        if b"[DONE]" in ending[-64:]:
            return
        if b'"finish_reason":"' not in ending and b'"finish_reason": "' not in ending:
            raise MalformedAnswer(f"{self._label} broke off in the middle of its answer")
        yield b"\n\ndata: [DONE]\n\n"  # it finished; it only left the last word out

    async def _next_piece(self) -> bytes:
        with _Translated(self._label):
            return await self._response.content.read(_LARGEST_PIECE)

    async def _await_first_event(self) -> None:
        """Read until the first event is there; comments before it are only signs of life."""
        lines = SseLines()
        while (piece := await self._next_piece()) and len(self._first) < _MOST_FIRST_PIECES:
            self._first.append(piece)
            if events := lines.feed(piece):
                _raise_error_in(events[0], self._label)
                return
        raise MalformedAnswer(f"{self._label} sent an empty answer")

    async def _read_plain(self) -> bytes:
        with _Translated(self._label):
            body = await _read_capped(self._response, self._largest)
        if body is None:
            raise MalformedAnswer(f"{self._label} sent an answer that is too large")
        _raise_error_in(body, self._label)
        return body


def _headers(api_key: str | None, options: OpenAICompatibleOptions) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **options.headers}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    if options.fresh_connections:
        headers["Connection"] = "close"
    return headers


def _encode(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, default=_plain)
    except TypeError as error:  # too deeply nested, or an integer beyond 64 bits
        raise InvalidRequest("The request is nested too deeply or holds a number that JSON cannot carry") from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    raise TypeError


class _Translated:
    """Turn aiohttp's errors into ours inside a `with`; the one place that knows them all."""

    __slots__ = ("_label",)

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        match error:
            case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
                raise Unavailable(
                    f"{self._label} cannot be reached; is it running, and is its address right?"
                ) from error
            case TimeoutError():
                raise DeadlineExceeded(f"{self._label} was silent for too long; try again or ask for less") from error
            case aiohttp.ClientError():
                raise UpstreamFailed(f"{self._label} broke the connection; try again") from error
            case _:
                return


async def _read_capped(response: aiohttp.ClientResponse, cap: int) -> bytes | None:
    """Read the body, decompressed; None if it is larger than `cap` bytes."""
    pieces: list[bytes] = []
    size = 0
    while piece := await response.content.readany():
        size += len(piece)
        if size > cap:
            return None
        pieces.append(piece)
    return b"".join(pieces)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read the end of a finished body, so that the connection can be used again; give up soon."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            while await response.content.readany():
                pass
    except (TimeoutError, aiohttp.ClientError):
        return  # the answer is complete; the connection is closed instead


def _raise_error_in(data: bytes, label: str) -> None:
    if data == b"[DONE]":
        raise MalformedAnswer(f"{label} sent an empty answer")
    try:
        error: object = orjson.loads(data).get("error")
    except (ValueError, AttributeError) as malformed:
        raise MalformedAnswer(f"{label} sent an answer that is not the OpenAI protocol") from malformed
    if error:
        raise error_from_stream(label, error)


def _listed_capabilities(base: Capabilities, entry: JsonObject) -> Capabilities:
    """Take the facts that OpenRouter, vLLM and llama-server add to a model's entry in the list."""
    meta: JsonObject = entry.get("meta") or {}
    length = entry.get("context_length") or entry.get("max_model_len") or meta.get("n_ctx")
    architecture: JsonObject = entry.get("architecture") or {}
    modalities: list[str] = architecture.get("input_modalities") or []
    return replace(
        base,
        context_length=length if isinstance(length, int) else base.context_length,
        vision=base.vision or "image" in modalities,
    )
