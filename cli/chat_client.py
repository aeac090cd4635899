"""The HTTP API as `twinport chat` uses it: list and read sessions, stream an answer."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import cast

from cli.api_client import ApiClient, CallFailed, JsonObject, message_in, server_events


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One turn: `text` for the session, or for a new one."""

    text: str
    session_id: str | None = None
    model: str | None = None
    agent: str | None = None

    def body(self) -> JsonObject:
        options = {"session_id": self.session_id, "agent_type": self.agent}
        return {
            "model": self.model or "auto",
            "messages": [{"role": "user", "content": self.text}],
            "stream": True,
            "store": True,
            **{name: value for name, value in options.items() if value is not None},
        }


class ChatClient(ApiClient):
    """One server and one identity, in conversation."""

    async def sessions(self) -> list[JsonObject]:
        """Return the newest sessions, each with `id`, `title` and `message_count`."""
        found = await self.json("GET", "/api/chat/sessions")
        return cast("list[JsonObject]", found.get("sessions") or found.get("data") or [])

    async def history(self, session_id: str) -> list[JsonObject]:
        """Return the messages of a session, oldest first, each with `role` and `content`."""
        found = await self.json("GET", f"/api/chat/history/{session_id}")
        return cast("list[JsonObject]", found.get("messages") or [])

    async def ask(self, question: Question) -> AsyncGenerator[JsonObject, None]:
        """Yield the chunks of the answer as they come. Leaving the loop cancels the answer at the server."""
        async with self.request("POST", "/v1/chat/completions", json=question.body()) as answer:
            finished = False
            async for event in server_events(answer):
                if event.data == "[DONE]":
                    finished = True
                    break
                chunk: JsonObject = json.loads(event.data)
                if "error" in chunk:
                    raise CallFailed(message_in(chunk["error"]) or "The server failed.")
                yield chunk
        if not finished:
            raise CallFailed("The connection ended before the answer did.")
