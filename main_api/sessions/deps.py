"""What the sessions' endpoints ask FastAPI for."""

from typing import Annotated, cast

from fastapi import Depends
from fastapi.requests import HTTPConnection

from main_api.sessions.service import SessionService


async def _sessions(connection: HTTPConnection) -> SessionService:
    return cast("SessionService", connection.state.sessions)


SessionServiceDep = Annotated[SessionService, Depends(_sessions)]
"""The service that the lifespan put at `state.sessions`."""
