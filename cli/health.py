"""Asks a server for its health."""

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import aiohttp


async def ask_health(http: "aiohttp.ClientSession", url: str) -> dict[str, Any] | None:
    """Return what `/health` says, or None while there is no such answer."""
    import aiohttp

    try:
        async with http.get(url) as answer:
            return _as_object(await answer.json()) if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


def _as_object(body: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None
