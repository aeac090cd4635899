"""The one place that picks the HTTP client: aiohttp.

The gateway benchmark decides (see deploy/decisions/0002-http-client.md): in one run on two cores a Starlette
pass-through answered 6,600 requests a second over aiohttp and 1,500 over httpx2. Whoever needs HTTP takes the session
that the composition root made; nobody makes one per request.
"""

import aiohttp


def create_http_session(*, connect_timeout_s: float = 10.0, read_timeout_s: float = 300.0) -> aiohttp.ClientSession:
    """Make a pooled session. `read_timeout_s` bounds the silence between two reads, not the whole answer.

    Redirects, cookies, proxies from the environment and environment credentials are off: the peers are configured by
    name, and a redirect of one of them is an error, not a suggestion.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s, sock_read=read_timeout_s),
        trust_env=False,
        auto_decompress=True,
    )
