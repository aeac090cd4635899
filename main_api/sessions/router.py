"""The sessions' endpoints: the core document's list, history and delete; rename, search and export beside them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from main_api.auth.deps import CurrentPrincipal, require_scope
from main_api.sessions import export
from main_api.sessions.deps import SessionServiceDep
from main_api.sessions.schemas import (
    ExportFormat,
    RenamedSession,
    RenameRequest,
    SearchResult,
    SearchResults,
    SessionHistory,
    SessionList,
)

router = APIRouter(prefix="/api/chat", tags=["sessions"], dependencies=[Depends(require_scope("sessions"))])

Limit = Annotated[int, Query(ge=1, le=100, description="Items per page")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="Items to pass over")]
Words = Annotated[
    str,
    Query(max_length=500, description="Words that must all occur, each as the beginning of a word; no syntax"),
]


@router.get("/sessions")
async def list_sessions(
    principal: CurrentPrincipal, sessions: SessionServiceDep, limit: Limit = 20, offset: Offset = 0
) -> SessionList:
    """List your sessions, newest first."""
    page = await sessions.list_sessions(principal.user_id, limit=limit, offset=offset)
    return SessionList.of(page, limit=limit, offset=offset)


@router.get("/sessions/search")
async def search_sessions(
    principal: CurrentPrincipal, sessions: SessionServiceDep, q: Words, limit: Limit = 20, offset: Offset = 0
) -> SearchResults:
    """Search the messages and titles of your sessions, newest first. Case and accents do not matter."""
    hits = await sessions.search(principal.user_id, q, limit=limit, offset=offset)
    return SearchResults(query=q, results=[SearchResult.of(hit) for hit in hits], limit=limit, offset=offset)


@router.get("/history/{session_id}", response_model=SessionHistory)
async def read_history(principal: CurrentPrincipal, sessions: SessionServiceDep, session_id: str) -> Response:
    """Read a session with all its messages, oldest first."""
    transcript = await sessions.history(principal.user_id, session_id)
    return Response(await sessions.render(export.as_json, transcript), media_type="application/json")


@router.patch("/sessions/{session_id}")
async def rename_session(
    principal: CurrentPrincipal, sessions: SessionServiceDep, session_id: str, body: RenameRequest
) -> RenamedSession:
    """Give a session a title of your own."""
    title = await sessions.rename(principal.user_id, session_id, body.title)
    return RenamedSession(id=session_id, title=title)


@router.delete("/sessions/{session_id}", status_code=204)
async def delete_session(principal: CurrentPrincipal, sessions: SessionServiceDep, session_id: str) -> None:
    """Delete a session with all its messages for good, also while an answer is being made."""
    await sessions.delete(principal.user_id, session_id)


@router.get(
    "/sessions/{session_id}/export",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "text/markdown": {}}, "description": "The file"}},
)
async def export_session(
    principal: CurrentPrincipal, sessions: SessionServiceDep, session_id: str, format: ExportFormat = "json"
) -> Response:
    """Download a session as JSON (as the history shows it) or as Markdown."""
    transcript = await sessions.history(principal.user_id, session_id)
    write, suffix, media_type = {
        "json": (export.as_json, "json", "application/json"),
        "markdown": (export.as_markdown, "md", "text/markdown; charset=utf-8"),
    }[format]
    return Response(
        await sessions.render(write, transcript),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{transcript.info.id}.{suffix}"'},
    )
