"""Finds out who really sent a request: the peer, or whom a trusted proxy names. Decides nothing about limits."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import Scope

_Address = IPv4Address | IPv6Address
_FORWARDING_HEADERS = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip"})


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request came from. `bucket` is what limits count by, `is_local` says it came from this machine."""

    address: str
    bucket: str
    is_local: bool


class ClientAddresses:
    """Reads addresses from ASGI scopes, believing `X-Forwarded-For` from `trusted_proxies` (addresses, networks) only.

    The server must hand over the real peer: uvicorn has to run with `proxy_headers=False`.
    """

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        self._trusted = tuple(ip_network(proxy, strict=False) for proxy in trusted_proxies)

    def of(self, scope: Scope) -> Client:
        """Return the client: the peer, or the right-most address in X-Forwarded-For that is no proxy of ours."""
        peer = scope.get("client")
        name = str(peer[0]) if peer else "unknown"
        address = _parse(name)
        if address is None:  # a Unix socket or a test's client has no address
            return Client(name, name, is_local=False)
        if self._is_trusted(address):
            return _client(self._behind_proxies(address, scope), believed=True)
        # An untrusted proxy on this machine makes everyone look local; its header gives it away
        forwarded = any(key in _FORWARDING_HEADERS for key, _ in scope["headers"])
        return _client(address, believed=not forwarded)

    def _behind_proxies(self, peer: _Address, scope: Scope) -> _Address:
        values = [value.decode("latin-1") for key, value in scope["headers"] if key == b"x-forwarded-for"]
        client = peer
        for entry in reversed(",".join(values).split(",")):
            address = _parse(entry.strip())
            if address is None:
                return client
            client = address
            if not self._is_trusted(address):
                return client
        return client

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def _client(address: _Address, *, believed: bool) -> Client:
    # one subscriber commonly holds a /64, so that is what counts as one address
    bucket = str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
    return Client(str(address), bucket, is_local=believed and address.is_loopback)


def _parse(text: str) -> _Address | None:
    if text.startswith("["):  # [::1]:4711
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:4711
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
