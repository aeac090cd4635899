"""The paths of retrieval, in the order in which `/docs` shows them, and how much those may be sent that take files."""

import re

from fastapi import APIRouter

from shared.asgi import PathLimit
from tools_api.rag.collections import router as collections
from tools_api.rag.documents import router as documents
from tools_api.rag.ingestion import router as jobs
from tools_api.rag.rest import chunks, portability, search, status

ROUTERS: tuple[APIRouter, ...] = (
    collections.router,
    documents.router,
    chunks.router,
    jobs.router,
    jobs.collection_router,
    search.router,
    portability.router,
    status.router,
)
_TAKES_FILES = re.compile(r"/v1/rag/(collections/[^/]+/documents|restore)")


def upload_limits(most_bytes: int) -> tuple[PathLimit, ...]:
    """Return the limit of uploads (RAG_MAX_UPLOAD_MB)."""
    return (PathLimit(_TAKES_FILES, most_bytes, "RAG_MAX_UPLOAD_MB"),)
