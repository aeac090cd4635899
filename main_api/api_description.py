"""The API description: `/docs` and `/openapi.json` say how to authenticate, and need no other machine to be shown."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from main_api.backends.local_models import BUNDLED_ADVICE, BUNDLED_MODEL

DESCRIPTION = f"""\
Accounts, sessions, models and agents behind an OpenAI-compatible API.

`{BUNDLED_MODEL}` answers where nothing else is connected. {BUNDLED_ADVICE}
"""
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API key (`ak_…`)"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key (`ak_…`)"},
}


def describe_authentication(app: FastAPI) -> None:
    """Add both ways to send a credential to the description of `app`; handlers read them from the headers."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schema.setdefault("components", {})["securitySchemes"] = _SCHEMES
            schema["security"] = [{name: []} for name in _SCHEMES]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi
