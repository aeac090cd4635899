"""A FastAPI route without FastAPI's work per request, for the one endpoint where that work is most of the cost.

It is listed in `/docs` like any other. Its handler takes the bare request and says by itself who may call: declared
dependencies are documentation here and are not run. Measured in tests/bench/gateway.py.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response


class DirectRoute(APIRoute):
    """Calls the endpoint with the request and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint
