"""The paths of retrieval, in the order in which `/docs` shows them."""

from fastapi import APIRouter

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
