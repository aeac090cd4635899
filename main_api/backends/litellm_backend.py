"""Providers with protocols of their own (Anthropic, Google and the rest), spoken by litellm as a library.

litellm is imported by the first request, in a thread, with its table of models from the package instead of the
network, without telemetry, `.env` reading or retries: fallbacks are the router's. `n` above 1 and `logprobs` are
refused by capability. Run against local servers that speak the providers' documented wire formats, not the providers.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from main_api.backends.litellm_models import known_models, unknown_model
from main_api.backends.openai_wire_errors import (
    ContextLengthExceeded,
    error_from_complaint,
    read_complaint,
)
from main_api.backends.protocol import Capabilities, ModelInfo, ModelRequest
from main_api.backends.redaction import REDACTED, redact_text
from main_api.events import (
    ChoiceFinished,
    FinishReason,
    ModelEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
)
from shared.errors import DeadlineExceeded, InvalidRequest, TwinportError, Unavailable, UpstreamFailed
from shared.retry_after import retry_after_of

_PROVIDERS: Final = {"google": "gemini"}
_FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_OURS: Final = frozenset({"stream", "stream_options", "user", "store", "metadata", "think"})
_BAD_REQUEST: Final = 400


class LitellmBackend:
    """One provider. `name` is the prefix of its models' public names; `api_base` replaces its public address."""

    def __init__(
        self,
        *,
        name: str,
        api_key: str,
        api_base: str | None = None,
        connect_timeout_s: float = 10.0,
        silence_timeout_s: float = 300.0,
    ) -> None:
        self._name = name
        self._provider = _PROVIDERS.get(name, name)
        self._api_key = api_key
        self._api_base = api_base
        self._connect_timeout_s = connect_timeout_s
        self._silence_timeout_s = silence_timeout_s

    @property
    def name(self) -> str:
        return self._name

    async def models(self) -> list[ModelInfo]:
        """List the chat models that the installed litellm knows of this provider; asks nobody."""
        models = await asyncio.to_thread(known_models, self._provider)
        return [
            ModelInfo(id=f"{self._name}/{model}", owned_by=self._name, capabilities=capabilities)
            for model, capabilities in models.items()
        ]

    async def capabilities(self, model: str) -> Capabilities:
        return (await asyncio.to_thread(known_models, self._provider)).get(model) or unknown_model()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Run one turn; see `Backend.stream`. Closing the iterator closes the provider's connection."""
        litellm = await asyncio.to_thread(_litellm)
        finished = False
        with self._translated():
            chunks: Any = await litellm.acompletion(**self._arguments(request))
            try:
                async for chunk in chunks:
                    for event in _events(chunk, request.model):
                        if isinstance(event, ChoiceFinished):
                            self._check_finished(chunks)
                            finished = True
                        yield event
            finally:
                await chunks.aclose()
        if not finished:
            raise self._broken_off()

    async def aclose(self) -> None:
        """Nothing to close: litellm keeps its own connections."""

    def _check_finished(self, chunks: Any) -> None:
        """Raise if the end is litellm's invention: it ends a stream that just stopped as if all were well.

        Google's streams always look finished to litellm; of those only a connection that breaks is noticed.
        """
        if not (chunks.received_finish_reason or chunks.intermittent_finish_reason):
            raise self._broken_off()

    def _broken_off(self) -> UpstreamFailed:
        return UpstreamFailed(f"{self._name} broke off before the answer was complete; try again.")

    def _arguments(self, request: ModelRequest) -> dict[str, Any]:
        import httpx

        options = {name: value for name, value in request.options.items() if name not in _OURS and value is not None}
        return {
            **options,
            "model": f"{self._provider}/{request.model}",
            "messages": [dict(message) for message in request.messages],  # litellm changes them in place
            "stream": True,
            "stream_options": {"include_usage": True},
            "api_key": self._api_key,
            "api_base": self._api_base,
            "timeout": httpx.Timeout(self._silence_timeout_s, connect=self._connect_timeout_s),
            "num_retries": 0,
            "max_retries": 0,
        }

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Turn litellm's exceptions, which are OpenAI's classes, and its transport's into our tree."""
        import httpx
        import openai

        try:
            yield
        except (openai.OpenAIError, httpx.HTTPError) as error:
            raise self._error_of(error) from None  # what litellm chains may show the key

    def _error_of(self, error: Exception) -> TwinportError:
        import httpx
        import openai
        from litellm import exceptions
        from litellm.llms.base_llm.chat.transformation import BaseLLMException

        causes = list(_chain(error))
        if any(isinstance(cause, openai.APITimeoutError | httpx.TimeoutException) for cause in causes):
            return DeadlineExceeded(f"{self._name} was silent for too long; try again or ask for less.")
        if any(isinstance(cause, httpx.ConnectError) for cause in causes):
            return Unavailable(f"{self._name} cannot be reached; try again later.")
        if isinstance(error, exceptions.ContextWindowExceededError):
            return ContextLengthExceeded(self._harmless(error.message), param="messages")
        for cause in causes:
            if isinstance(cause, BaseLLMException):
                return self._of_status(cause.status_code, cause.message, _retry_after(cause))
        if isinstance(error, openai.APIStatusError) and error.status_code == _BAD_REQUEST:
            return InvalidRequest(self._harmless(error.message))
        if isinstance(error, openai.APIStatusError):
            return self._of_status(error.status_code, "", _retry_after(error))
        return UpstreamFailed(f"{self._name} failed; try again later.")

    def _of_status(self, status: int, body: str | bytes, retry_after: float | None) -> TwinportError:
        raw = body if isinstance(body, bytes) else body.encode()  # litellm calls it a text; some providers' are bytes
        error = error_from_complaint(self._name, status, read_complaint(raw), retry_after)
        error.message = self._harmless(error.message)
        error.args = (error.message,)
        return error

    def _harmless(self, text: str) -> str:
        return redact_text(text.replace(self._api_key, REDACTED))


def _litellm() -> Any:
    """Import litellm, once, so that it neither asks the network nor reads or tells anything."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"  # any other value makes it load .env files
    import litellm

    litellm.suppress_debug_info = True
    litellm.drop_params = False
    return litellm


def _events(chunk: Any, model: str) -> Iterator[ModelEvent]:
    for choice in chunk.choices:
        delta = choice.delta
        if reasoning := getattr(delta, "reasoning_content", None):
            yield ReasoningDelta(reasoning, choice.index)
        if text := getattr(delta, "content", None):
            yield TextDelta(text, choice.index)
        for call in getattr(delta, "tool_calls", None) or ():
            function = call.function
            yield ToolCallDelta(call.index, call.id, function.name, function.arguments or "", choice.index)
        if choice.finish_reason:
            yield ChoiceFinished(_FINISH_REASONS.get(choice.finish_reason, "stop"), choice.index)
    if usage := getattr(chunk, "usage", None):
        yield UsageReported(_usage(usage), model=model)


def _usage(usage: Any) -> Usage:
    completion = getattr(usage, "completion_tokens_details", None)
    prompt = getattr(usage, "prompt_tokens_details", None)
    return Usage(
        prompt_tokens=usage.prompt_tokens or 0,
        completion_tokens=usage.completion_tokens or 0,
        reasoning_tokens=getattr(completion, "reasoning_tokens", None) or 0,
        cached_tokens=getattr(prompt, "cached_tokens", None) or 0,
    )


def _retry_after(error: Any) -> float | None:
    headers: Mapping[str, str] = (
        getattr(error, "headers", None) or getattr(error, "litellm_response_headers", None) or {}
    )
    return retry_after_of({"Retry-After": headers.get("retry-after") or ""})


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from: litellm wraps the provider's own answer several times."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [getattr(current, "original_exception", None), current.__cause__, current.__context__]
