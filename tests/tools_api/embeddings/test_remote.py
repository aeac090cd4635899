"""An OpenAI-compatible API for embeddings on loopback, in its good and bad hours."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from shared.http_client import create_http_session
from tests.tools_api.embeddings.fakes import FakeEncoder
from tools_api.embeddings.errors import EncoderUnavailable, TextsRefused
from tools_api.embeddings.options import RemoteOptions
from tools_api.embeddings.remote import RemoteEncoder

KEY = "sk-remote"
Answer = Callable[[dict[str, Any]], Awaitable[web.Response]]


def vector(text: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.array([len(text), 2, 3], dtype=np.float32)


def answer_to(body: dict[str, Any], *, as_base64: bool = True) -> web.Response:
    rows: list[Any] = [vector(text) for text in body["input"]]
    rendered = [base64.b64encode(row.tobytes()).decode() if as_base64 else row.tolist() for row in rows]
    data = [{"index": place, "embedding": row} for place, row in enumerate(rendered)]
    return web.json_response({"data": data[::-1], "usage": {"prompt_tokens": 5 * len(rows)}})


class Api:
    """Answers with what was put into `answers`, then properly. `bodies` are the requests."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "no"}}, status=401)
        body = await request.json()
        self.bodies.append(body)
        return await self.answers.pop(0)(body) if self.answers else answer_to(body)

    def will(self, *responses: Callable[[dict[str, Any]], web.Response]) -> None:
        for respond in responses:

            async def answer(body: dict[str, Any], respond: Callable[..., web.Response] = respond) -> web.Response:
                return respond(body)

            self.answers.append(answer)


@asynccontextmanager
async def running_api() -> AsyncGenerator[tuple[Api, aiohttp.ClientSession]]:
    api = Api()
    application = web.Application(client_max_size=2**26)
    application.router.add_post("/v1/embeddings", api.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        async with create_http_session() as http:
            yield api, http
    finally:
        await runner.cleanup()


def encoder_of(
    api: Api, http: aiohttp.ClientSession, *, key: str = KEY, dimensions: int | None = None
) -> RemoteEncoder:
    options = RemoteOptions(url=api.url, api_key=key, dimensions=dimensions, timeout_s=5)
    return RemoteEncoder("embed-3", options, http, reranker=FakeEncoder())


async def test_rows_are_in_order_of_length_one_and_counted() -> None:
    async with running_api() as (api, http):
        encoder = encoder_of(api, http)
        assert encoder.status.state == "starting"
        texts = ["a" * (1 + number) for number in range(300)]
        found = await encoder.embed_counted(texts, "passage")
        expected = np.stack([vector(text) / np.linalg.norm(vector(text)) for text in texts])
        assert np.allclose(found.rows, expected, atol=1e-6)
        assert (found.tokens, found.rows.dtype) == (1500, np.float32)
        assert sorted(len(body["input"]) for body in api.bodies) == [44, 128, 128]
        assert {(body["model"], body["encoding_format"], "dimensions" in body) for body in api.bodies} == {
            ("embed-3", "base64", False)
        }
        assert encoder.status.state == "ready"
        assert (await encoder.embed([], "query")).shape == (0, 3)


async def test_the_dimensions_are_found_by_the_first_call_and_remembered() -> None:
    async with running_api() as (api, http):
        encoder = encoder_of(api, http)
        models = [await encoder.model() for _ in range(3)]
        assert (models[0].name, models[0].dimensions, models[0].fingerprint) == ("embed-3", 3, "embed-3@remote:3")
        assert models[0] == models[2]
        assert len(api.bodies) == 1


async def test_dimensions_that_are_set_are_asked_for_and_checked() -> None:
    async with running_api() as (api, http):
        encoder = encoder_of(api, http, dimensions=4)
        assert (await encoder.model()).dimensions == 4
        with pytest.raises(EncoderUnavailable, match="answers with 3 dimensions, and 4 are expected"):
            await encoder.embed(["a"], "query")
        assert api.bodies[0]["dimensions"] == 4


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_pass_is_tried_again_after_the_time_that_the_api_says(status: int) -> None:
    async with running_api() as (api, http):
        api.will(lambda _: web.Response(status=status, headers={"Retry-After": "0.05"}))
        started = asyncio.get_running_loop().time()
        assert (await encoder_of(api, http).embed(["a"], "query")).shape == (1, 3)
        assert asyncio.get_running_loop().time() - started >= 0.05
        assert len(api.bodies) == 2


async def test_a_question_is_not_kept_waiting_for_an_hour() -> None:
    async with running_api() as (api, http):
        api.will(lambda _: web.Response(status=429, headers={"Retry-After": "3600"}))
        encoder = encoder_of(api, http)
        with pytest.raises(EncoderUnavailable, match="overloaded or failing"):
            await encoder.embed(["a"], "query")
        assert encoder.status.state == "failed"
        assert await encoder.wait_ready(5), "it is asked anew"


async def test_an_api_that_knows_no_base64_is_asked_for_numbers_from_then_on() -> None:
    async with running_api() as (api, http):
        refusal = {"error": {"message": "encoding_format is not supported"}}
        api.will(lambda _: web.json_response(refusal, status=400), *2 * [lambda body: answer_to(body, as_base64=False)])
        encoder = encoder_of(api, http)
        for _ in range(2):
            assert (await encoder.embed(["a"], "query")).shape == (1, 3)
        assert ["encoding_format" in body for body in api.bodies] == [True, False, False]


async def test_a_key_that_is_refused_is_said() -> None:
    async with running_api() as (api, http):
        encoder = encoder_of(api, http, key="wrong")
        with pytest.raises(EncoderUnavailable, match="RAG_EMBEDDINGS_API_KEY"):
            await encoder.model()
        assert not await encoder.wait_ready(5)


def broken(**answer: Any) -> Callable[[dict[str, Any]], web.Response]:
    return lambda _body: web.json_response(answer)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: web.Response(text="<html>"),
        broken(data=[]),
        broken(data=[{"index": 1, "embedding": [1.0]}]),
        broken(data=[{"index": 0, "embedding": [1.0]}] * 2),
        broken(data=[{"index": 0, "embedding": [0.0, 0.0]}]),
        broken(data=[{"index": 0, "embedding": ["x"]}]),
        broken(data=[{"index": 0, "embedding": []}]),
        broken(data=[{"index": 0, "embedding": "not base64"}]),
        broken(data=[{"index": 0, "embedding": base64.b64encode(b"\0\0\xc0\x7f" * 2).decode()}]),
        broken(data=None),
        broken(),
        lambda _: web.Response(status=302, headers={"Location": "/elsewhere"}),
        lambda _: web.json_response({"error": {"message": "too long"}}, status=400),
    ],
)
async def test_no_answer_is_believed_unseen(answer: Callable[[dict[str, Any]], web.Response]) -> None:
    async with running_api() as (api, http):
        api.will(answer)
        with pytest.raises(EncoderUnavailable, match="There are no vectors now: the API"):
            await encoder_of(api, http).embed(["a"], "query")
        assert len(api.bodies) == 1, "and asking again would not help"


@pytest.mark.parametrize(("status", "refused"), [(400, True), (413, True), (403, False), (501, False)])
async def test_a_refusal_of_these_texts_is_told_from_one_of_all(status: int, *, refused: bool) -> None:
    async with running_api() as (api, http):
        encoder = encoder_of(api, http)
        await encoder.embed(["a"], "query")
        api.will(lambda _: web.Response(status=status))
        with pytest.raises(EncoderUnavailable) as failure:
            await encoder.embed(["b"], "passage")
    assert isinstance(failure.value, TextsRefused) == refused
    assert (encoder.status.state == "ready") == refused


async def test_reranking_stays_on_this_machine() -> None:
    async with running_api() as (api, http):
        encoder = encoder_of(api, http)
        assert encoder.can_rerank
        assert list(await encoder.rerank("a", ["b", "c"])) == [0.5, 0.5]
        assert api.bodies == []
