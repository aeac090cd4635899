"""The wire models of the sessions' endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from main_api.sessions.index import SearchHit, SessionPage
from main_api.sessions.records import MessageStatus, SessionInfo, StoredMessage, Transcript
from shared.tools_contract import JsonObject

ExportFormat = Literal["json", "markdown"]


class SessionSummary(BaseModel):
    """A session in a list. `title` is null until it got one; `updated_at` is the time of its newest message."""

    id: str
    title: str | None
    message_count: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, info: SessionInfo) -> "SessionSummary":
        return cls(
            id=info.id,
            title=info.title,
            message_count=info.message_count,
            created_at=info.created_at,
            updated_at=info.updated_at,
        )


class SessionList(BaseModel):
    """One page of the caller's sessions, newest first; `total` counts all."""

    sessions: list[SessionSummary]
    total: int
    limit: int
    offset: int

    @classmethod
    def of(cls, page: SessionPage, *, limit: int, offset: int) -> "SessionList":
        summaries = [SessionSummary.of(info) for info in page.sessions]
        return cls(sessions=summaries, total=page.total, limit=limit, offset=offset)


class SessionMessage(BaseModel):
    """One message: OpenAI's fields, and how it went.

    `status`: `complete`; an answer that broke off is `partial`, one that failed `error`; a question whose answer is
    being made is `pending`, one that never got an answer `interrupted`.
    """

    id: str
    role: str
    content: Any = None
    name: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    created_at: datetime
    status: MessageStatus
    model: str | None = None
    finish_reason: str | None = None
    usage: JsonObject | None = None
    steps: list[JsonObject] | None = Field(None, description="What an agent did on the way to this answer")
    error: JsonObject | None = None

    @classmethod
    def of(cls, stored: StoredMessage) -> "SessionMessage":
        message = stored.message
        return cls.model_construct(  # our own file's content: an odd field of a client must not make it unreadable
            id=stored.id,
            role=stored.role,
            content=message.get("content"),
            name=message.get("name"),
            tool_calls=message.get("tool_calls"),
            tool_call_id=message.get("tool_call_id"),
            reasoning_content=message.get("reasoning_content"),
            created_at=stored.time,
            status=stored.status,
            model=stored.model,
            finish_reason=stored.finish_reason,
            usage=stored.usage,
            steps=list(stored.steps) or None,
            error=stored.error,
        )


class SessionHistory(BaseModel):
    """A session with its messages, oldest first."""

    session_id: str
    title: str | None
    created_at: datetime
    updated_at: datetime
    message_count: int
    messages: list[SessionMessage]

    @classmethod
    def of(cls, transcript: Transcript) -> "SessionHistory":
        info = transcript.info
        return cls.model_construct(
            session_id=info.id,
            title=info.title,
            created_at=info.created_at,
            updated_at=info.updated_at,
            message_count=info.message_count,
            messages=[SessionMessage.of(message) for message in transcript.messages],
        )


class RenameRequest(BaseModel):
    """The new title; it is made one line of at most 200 characters."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=1000)]


class RenamedSession(BaseModel):
    """The title as it was stored."""

    id: str
    title: str


class SearchResult(BaseModel):
    """A message that has all the words, or a title that has them (`message_id` and `role` are null).

    `snippet` is plain text around the first hits; `highlights` are [start, end) character offsets in it.
    """

    session_id: str
    title: str | None
    message_id: str | None
    role: str | None
    created_at: datetime
    snippet: str
    highlights: list[tuple[int, int]]

    @classmethod
    def of(cls, hit: SearchHit) -> "SearchResult":
        return cls(
            session_id=hit.session_id,
            title=hit.title,
            message_id=hit.message_id,
            role=hit.role,
            created_at=hit.time,
            snippet=hit.snippet,
            highlights=list(hit.highlights),
        )


class SearchResults(BaseModel):
    """One page of results, newest message first."""

    query: str
    results: list[SearchResult]
    limit: int
    offset: int
