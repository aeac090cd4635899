"""What a tool prints on its way to a reader."""

import asyncio

import pytest

from tools_api.invoke.live import LiveOutput, OutputPiece
from tools_api.invoke.tool import StreamName


async def read(live: LiveOutput) -> list[tuple[str, str]]:
    async with asyncio.timeout(30):
        return [(piece.stream, piece.text) async for piece in live.pieces()]


def text_of(pieces: list[tuple[str, str]], stream: str = "stdout") -> str:
    return "".join(text for name, text in pieces if name == stream)


async def test_output_comes_while_the_tool_runs() -> None:
    live = LiveOutput()
    pieces = live.pieces()
    live.write("stdout", b"one")

    assert await anext(pieces) == OutputPiece("stdout", "one")
    live.write("stderr", b"two")
    assert await anext(pieces) == OutputPiece("stderr", "two")
    live.end()
    assert [piece async for piece in pieces] == []


async def test_the_order_of_the_two_streams_is_kept() -> None:
    live = LiveOutput()
    for stream, content in (("stdout", b"1"), ("stderr", b"2"), ("stdout", b"3"), ("stdout", b"4")):
        live.write(stream, content)
    live.end()

    assert await read(live) == [("stdout", "1"), ("stderr", "2"), ("stdout", "34")]


@pytest.mark.parametrize("cut", range(1, len("aß€🙂".encode())))
async def test_a_character_is_never_cut(cut: int) -> None:
    live, whole = LiveOutput(), "aß€🙂".encode()
    pieces = live.pieces()
    live.write("stdout", whole[:cut])
    first = await anext(pieces)
    live.write("stderr", "ä".encode())
    live.write("stdout", whole[cut:])
    live.end()

    rest = [(piece.stream, piece.text) async for piece in pieces]
    assert first.text + text_of(rest) == "aß€🙂"
    assert text_of(rest, "stderr") == "ä"


async def test_what_is_no_text_is_shown_as_such() -> None:
    live = LiveOutput()
    live.write("stdout", b"a\xff\x80b\xe2\x82")
    live.end()

    assert text_of(await read(live)) == b"a\xff\x80b\xe2\x82".decode("utf-8", "replace")


async def test_a_reader_that_does_not_read_costs_no_more_than_the_bound_and_is_told() -> None:
    live = LiveOutput(most_bytes=1000)
    for _ in range(500):
        live.write("stdout", b"x" * 10)
    live.end()

    text = text_of(await read(live))
    assert text.startswith("x" * 1000 + "\n[4000 bytes left out")
    assert text.count("x") == 1000


async def test_a_reader_that_keeps_up_loses_nothing_however_much_it_is() -> None:
    live = LiveOutput(most_bytes=1000)
    pieces, got = live.pieces(), ""
    for _ in range(20):
        live.write("stdout", b"y" * 1000)
        got += (await anext(pieces)).text
    live.end()

    assert got == "y" * 20_000
    assert [piece async for piece in pieces] == []


@pytest.mark.parametrize("streams", [("stdout",), ("stdout", "stderr")])
async def test_many_small_pieces_become_few(streams: tuple[StreamName, ...]) -> None:
    live = LiveOutput()
    for _ in range(20_000):
        for stream in streams:
            live.write(stream, b"z")
    live.end()

    pieces = await read(live)
    assert len(pieces) <= 256
    assert {text_of(pieces, stream) for stream in streams} == {"z" * 20_000}


async def test_waiting_for_the_first_output_ends_with_it_or_with_the_time() -> None:
    live = LiveOutput()
    await live.stirs_within(0.01)
    live.write("stdout", b"a")
    async with asyncio.timeout(30):
        await live.stirs_within(60)
