"""What litellm's own table says about a provider's models, read without importing litellm (seconds and 100 MB)."""

import datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from main_api.backends.protocol import Capabilities
from shared.tools_contract import JsonObject

_TABLE = "model_prices_and_context_window_backup.json"


@lru_cache(maxsize=8)
def known_models(provider: str) -> dict[str, Capabilities]:
    """Return the chat models of a litellm provider that are not retired, by their own names (blocking)."""
    found: dict[str, Capabilities] = {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for key, facts in _table().items():
        retired: str = facts.get("deprecation_date") or "9999"
        if facts.get("litellm_provider") == provider and facts.get("mode") == "chat" and retired > today:
            found[key.removeprefix(f"{provider}/")] = _capabilities(facts)
    return found


def unknown_model() -> Capabilities:
    """Return what is assumed of a model that the table does not have: it may be newer than the table."""
    return Capabilities(multiple_choices=False, logprobs=False)


def _table() -> dict[str, JsonObject]:
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    table: dict[str, Any] = orjson.loads(Path(spec.origin).with_name(_TABLE).read_bytes())
    return {key: facts for key, facts in table.items() if key != "sample_spec"}


def _capabilities(facts: JsonObject) -> Capabilities:
    return Capabilities(
        tool_mode="native" if facts.get("supports_function_calling") else "text",
        json_schema=bool(facts.get("supports_response_schema")),
        multiple_choices=False,
        logprobs=False,
        vision=bool(facts.get("supports_vision")),
        context_length=facts.get("max_input_tokens"),
    )
