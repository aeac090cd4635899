"""Translates between OpenAI's chat objects and Ollama's native ones. No HTTP here; `ollama.py` does that.

The native protocol is used because Ollama's own `/v1` silently drops `num_ctx`, `keep_alive`, `think` and `format`.
Source of the fields: docs.ollama.com/api and `api/types.go` of Ollama 0.12 and later.

What OpenAI has and Ollama lacks is refused by name before anything is sent: `n` above 1, `logit_bias`, images by URL
and audio. `tool_choice` does not exist in Ollama: `auto` is its only behaviour, `none` is kept by sending no tools,
and `required` or a named function is refused, since nothing would enforce it. `parallel_tool_calls: false` is kept by
passing on only the first call of a turn.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import orjson

from main_api.backends.protocol import Message
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
from shared.errors import InvalidRequest
from shared.tools_contract import JsonObject

_SAME_OPTIONS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "typical_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repeat_penalty",
    "repeat_last_n",
)
_UNSUPPORTED = ("logit_bias", "audio", "prediction", "web_search_options")
_FINISH_REASONS: dict[str, FinishReason] = {"length": "length"}


def check_supported(options: Mapping[str, Any]) -> None:
    """Raise `InvalidRequest` naming the first option that Ollama cannot honour."""
    if (options.get("n") or 1) > 1:
        raise InvalidRequest("Ollama gives one choice per request; send n requests instead.", param="n")
    for name in _UNSUPPORTED:
        if options.get(name):
            raise InvalidRequest(f"Ollama does not support `{name}`; leave it out.", param=name)
    if options.get("tool_choice") not in (None, "auto", "none"):
        raise InvalidRequest(
            "Ollama cannot be made to call a tool; use `tool_choice` `auto` or `none`.", param="tool_choice"
        )


def chat_options(options: Mapping[str, Any], *, num_ctx: int) -> JsonObject:
    """Map OpenAI's sampling fields to Ollama's `options`; `num_ctx` is always explicit, in tokens."""
    mapped: JsonObject = {"num_ctx": num_ctx}
    for name in _SAME_OPTIONS:
        if options.get(name) is not None:
            mapped[name] = options[name]
    limit = options.get("max_completion_tokens") or options.get("max_tokens")
    if limit:
        mapped["num_predict"] = limit
    if stop := options.get("stop"):
        mapped["stop"] = [stop] if isinstance(stop, str) else list(stop)
    return mapped


def output_format(response_format: Any) -> str | JsonObject | None:
    """Map OpenAI's `response_format` to Ollama's `format`: `json`, a JSON Schema, or nothing for plain text."""
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": dict()}}:
            return cast("JsonObject", response_format["json_schema"]["schema"])
        case _:
            raise InvalidRequest(
                "`response_format` must be `text`, `json_object` or `json_schema` with a `schema`.",
                param="response_format",
            )


def chat_messages(messages: Sequence[Message]) -> list[JsonObject]:
    """Map OpenAI messages to Ollama's: text and images apart, arguments as objects, tool results by tool name."""
    call_names: dict[str, str] = {}
    return [_message(message, call_names) for message in messages]


def _message(message: Message, call_names: dict[str, str]) -> JsonObject:
    role: str = message.get("role") or "user"
    text, images = _content(message.get("content"))
    mapped: JsonObject = {"role": "system" if role == "developer" else role, "content": text}
    if images:
        mapped["images"] = images
    if reasoning := message.get("reasoning_content"):
        mapped["thinking"] = reasoning
    if calls := message.get("tool_calls"):
        mapped["tool_calls"] = [_call(call, call_names) for call in calls]
    if role == "tool":
        call_id: str = message.get("tool_call_id") or ""
        mapped["tool_name"] = message.get("name") or call_names.get(call_id, "")
        mapped["tool_call_id"] = call_id
    return mapped


def _call(call: JsonObject, call_names: dict[str, str]) -> JsonObject:
    function: JsonObject = call.get("function") or {}
    name: str = function.get("name") or ""
    call_id: str = call.get("id") or ""
    call_names[call_id] = name
    return {"id": call_id, "function": {"name": name, "arguments": _arguments(function.get("arguments"))}}


def _arguments(text: Any) -> JsonObject:
    """Parse a call's arguments; what a model once wrote wrongly stays visible to it instead of ending the run."""
    try:
        parsed: Any = orjson.loads(text or "{}") if isinstance(text, str | None) else text
    except orjson.JSONDecodeError:
        return {"arguments": text}
    return cast("JsonObject", parsed) if isinstance(parsed, dict) else {"arguments": parsed}


def _content(content: Any) -> tuple[str, list[str]]:
    if content is None or isinstance(content, str):
        return content or "", []
    texts: list[str] = []
    images: list[str] = []
    for part in content:
        match part:
            case {"type": "text" | "input_text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
                images.append(_base64_of(url))
            case _:
                raise InvalidRequest("Ollama takes only `text` and `image_url` as content parts.", param="messages")
    return "\n".join(texts), images


def _base64_of(url: str) -> str:
    head, separator, data = url.partition(";base64,")
    if not separator or not head.startswith("data:"):
        raise InvalidRequest(
            "Ollama takes images only inside the request; send `image_url` as a `data:` URL.", param="messages"
        )
    return data


class TurnTranslator:
    """Turns the objects of one `/api/chat` answer into events; `finished` tells a whole answer from a torn one."""

    def __init__(self, model: str, *, single_call: bool = False) -> None:
        self.finished = False
        self._model = model
        self._single_call = single_call
        self._calls = 0

    def events(self, chunk: JsonObject) -> Iterator[ModelEvent]:
        """Yield the events of one object of the stream."""
        message: JsonObject = chunk.get("message") or {}
        if thinking := message.get("thinking"):
            yield ReasoningDelta(thinking)
        text: str = message.get("content") or ""
        logprobs = chunk.get("logprobs")
        if text or logprobs:
            yield TextDelta(text, logprobs=_openai_logprobs(logprobs) if logprobs else None)
        for call in message.get("tool_calls") or ():
            if not (self._single_call and self._calls):
                yield self._tool_call(call)
        if chunk.get("done"):
            yield from self._end(chunk)

    def _tool_call(self, call: JsonObject) -> ToolCallDelta:
        function: JsonObject = call.get("function") or {}
        index = self._calls  # Ollama's own index was always 0 in several releases
        self._calls += 1
        return ToolCallDelta(
            index=index,
            id=call.get("id") or f"call_{secrets.token_hex(12)}",
            name=function.get("name") or "",
            arguments=orjson.dumps(function.get("arguments") or {}).decode(),
        )

    def _end(self, chunk: JsonObject) -> Iterator[ModelEvent]:
        self.finished = True
        reason = _FINISH_REASONS.get(chunk.get("done_reason") or "", "tool_calls" if self._calls else "stop")
        yield ChoiceFinished(reason)
        yield UsageReported(
            Usage(
                prompt_tokens=chunk.get("prompt_eval_count") or 0,  # absent when the whole prompt was cached
                completion_tokens=chunk.get("eval_count") or 0,
            ),
            model=self._model,
        )


def _openai_logprobs(logprobs: list[JsonObject]) -> JsonObject:
    return {
        "content": [
            {**_token(item), "top_logprobs": [_token(t) for t in item.get("top_logprobs") or ()]} for item in logprobs
        ]
    }


def _token(item: JsonObject) -> JsonObject:
    token: str = item.get("token") or ""
    return {"token": token, "logprob": item.get("logprob"), "bytes": item.get("bytes") or list(token.encode())}
