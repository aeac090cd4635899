"""What a caller asks of the chat service, in no dialect's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from main_api.backends.protocol import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """One request for an answer.

    `options` are OpenAI's sampling fields and client-side `tools`, as sent. `server_tools` names the tools of the
    tools API that an agent may use (None: all of them, empty: none). `store` None means the default of the
    credential: a person's chats are kept, a program's are not.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    agent_type: str | None = None
    server_tools: tuple[str, ...] | None = None
    session_id: str | None = None
    store: bool | None = None
