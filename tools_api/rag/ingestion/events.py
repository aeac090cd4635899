"""A job's progress as server-sent events: `job` has the job as it stands, `document` a document that changed.

The first event is the job as it stands, also after a reconnection: what was missed meanwhile is in its counts. Ids go
up by one. The stream ends when the job has ended.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from shared.asgi import openai_error_body
from shared.errors import TwinportError
from shared.sse import Frames
from tools_api.rag.documents.schemas import as_answer as as_document
from tools_api.rag.ingestion.schemas import as_answer

if TYPE_CHECKING:  # a process that nobody asks for documents is spared the database
    from tools_api.rag.ingestion.jobs import JobNews


async def news_frames(news: "AsyncGenerator[JobNews]", last_event_id: str | None) -> Frames:
    """Yield the frames of a job's news; ids go on from the one that a caller had last."""
    number = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else 0
    number = min(number, 2**53)
    async with aclosing(news) as items:
        async for item in items:
            for document in item.documents:
                number += 1
                yield _frame(number, b"document", as_document(document).model_dump_json().encode())
            number += 1
            yield _frame(number, b"job", as_answer(item.job).model_dump_json().encode())


def error_frame(error: TwinportError) -> bytes:
    """Say an error that came after the first frame."""
    return b"event: error\ndata: " + openai_error_body(error) + b"\n\n"


def _frame(number: int, event: bytes, data: bytes) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, event, data)
