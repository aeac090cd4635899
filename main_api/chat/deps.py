"""What the dialects ask FastAPI for to reach the chat service."""

from typing import Annotated, cast

from fastapi import Depends
from fastapi.requests import HTTPConnection

from main_api.chat.service import ChatService


def _chat(connection: HTTPConnection) -> ChatService:
    return cast("ChatService", connection.state.chat)


ChatServiceDep = Annotated[ChatService, Depends(_chat)]
"""The service that the lifespan put at `state.chat`."""
