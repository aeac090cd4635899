"""Whose address counts: the peer's, unless a proxy that we trust names another."""

import pytest

from main_api.limits.client_address import Client, ClientAddresses


def client(
    peer: str | None, *forwarded_for: str, trusted: list[str] | None = None, header: str = "x-forwarded-for"
) -> Client:
    headers = [(header.encode(), value.encode()) for value in forwarded_for]
    scope = {"type": "http", "client": (peer, 1) if peer else None, "headers": headers}
    return ClientAddresses(trusted or []).of(scope)


def test_the_peer_counts_when_no_proxy_is_trusted() -> None:
    assert client("198.51.100.7", "203.0.113.1").address == "198.51.100.7"


def test_a_trusted_proxy_names_the_client() -> None:
    assert client("10.0.0.1", "203.0.113.1", trusted=["10.0.0.1"]).address == "203.0.113.1"


def test_addresses_that_the_client_made_up_are_skipped_from_the_right() -> None:
    found = client("10.0.0.1", "127.0.0.1, 1.2.3.4, 203.0.113.1, 10.0.0.2", trusted=["10.0.0.0/8"])
    assert found.address == "203.0.113.1"


def test_several_headers_are_one_list() -> None:
    assert client("10.0.0.1", "1.2.3.4", "203.0.113.1", trusted=["10.0.0.1"]).address == "203.0.113.1"


def test_nonsense_ends_the_list() -> None:
    assert client("10.0.0.1", "203.0.113.1, <script>, 10.0.0.2", trusted=["10.0.0.0/8"]).address == "10.0.0.2"


def test_a_trusted_proxy_without_a_header_is_the_client() -> None:
    assert client("10.0.0.1", trusted=["10.0.0.1"]).address == "10.0.0.1"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("203.0.113.1:4711", "203.0.113.1"), ("[2001:db8::1]:4711", "2001:db8::1"), ("::ffff:203.0.113.1", "203.0.113.1")],
)
def test_ports_and_mapped_addresses_are_understood(written: str, meant: str) -> None:
    assert client("10.0.0.1", written, trusted=["10.0.0.1"]).address == meant


def test_one_ipv6_subscriber_is_one_bucket() -> None:
    assert client("2001:db8:1:2::1").bucket == client("2001:db8:1:2:ffff::2").bucket
    assert client("2001:db8:1:2::1").bucket != client("2001:db8:1:3::1").bucket


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_local(peer: str) -> None:
    assert client(peer).is_local


@pytest.mark.parametrize("peer", ["198.51.100.7", "testclient", None, "0.0.0.0", "10.0.0.1"])
def test_nothing_else_is_local(peer: str | None) -> None:
    assert not client(peer).is_local


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_what_an_unknown_proxy_on_this_machine_forwards_is_not_local(header: str) -> None:
    assert not client("127.0.0.1", "127.0.0.1", header=header).is_local


def test_a_remote_client_that_claims_to_be_local_is_not() -> None:
    assert not client("198.51.100.7", "127.0.0.1").is_local


def test_a_trusted_proxy_on_this_machine_may_say_that_the_client_is_local() -> None:
    assert client("127.0.0.1", "127.0.0.1", trusted=["127.0.0.1"]).is_local
    assert not client("127.0.0.1", "127.0.0.1, 203.0.113.1", trusted=["127.0.0.1"]).is_local
