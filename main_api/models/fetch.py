"""Opens addresses for downloads: follows few redirects, never to a weaker scheme, and carries no credentials.

It is for the operator's own `models pull`. It does not protect against addresses inside the own network, so it must
not be fed with addresses from a request.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit

import aiohttp

from shared.errors import DeadlineExceeded, InvalidRequest, Unavailable, UpstreamFailed

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@asynccontextmanager
async def fetched(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[aiohttp.ClientResponse, dict[str, str]]]:
    """Open `url` and yield the final answer, whatever its status, and the headers of all hops (the first one wins).

    The first hop's headers matter: Hugging Face names a file's checksum there and its storage does not.
    """
    seen: dict[str, str] = {}
    for _ in range(MOST_REDIRECTS + 1):
        _check(url)
        async with _translated(url), session.get(url, headers=headers, allow_redirects=False) as response:
            seen = {name.lower(): value for name, value in response.headers.items()} | seen
            if response.status not in _REDIRECTS:
                yield response, seen
                return
            target = urljoin(url, response.headers.get("location", ""))
        if url.startswith("https:") and not target.startswith("https:"):
            raise UpstreamFailed(f"{_host(url)} redirects to an unprotected address, which is not followed.")
        url = target
    raise UpstreamFailed(f"{_host(url)} redirects more than {MOST_REDIRECTS} times.")


@asynccontextmanager
async def _translated(url: str) -> AsyncGenerator[None]:
    host = _host(url)
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unavailable(f"{host} cannot be reached; check the address and the network.") from error
    except TimeoutError as error:
        raise DeadlineExceeded(f"{host} was silent for too long; pull again, it goes on where it stopped.") from error
    except aiohttp.ClientError as error:
        raise UpstreamFailed(f"{host} broke off the connection; pull again, it goes on where it stopped.") from error


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidRequest("An address must begin with http:// or https:// and name a host.")
    if parts.username or parts.password:
        raise InvalidRequest("An address must not hold a user name or a password.")


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the server"
