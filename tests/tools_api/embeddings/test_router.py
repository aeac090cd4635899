"""`POST /v1/embeddings` of the tools API, also through OpenAI's SDK."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import openai
import pytest

from tests.tools_api.conftest import KEY, Serve, Served
from tests.tools_api.embeddings.fakes import FakeEncoder
from tools_api.embeddings.protocol import EncoderState


def sdk(served: Served) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=KEY, max_retries=0)


async def post(served: Served, **body: Any) -> tuple[int, Any, Mapping[str, str]]:
    async with served.client.post(f"{served.url}/v1/embeddings", json={"model": "fake", **body}) as answer:
        return answer.status, await answer.json(), answer.headers.copy()


async def test_the_sdk_gets_the_same_vectors_as_numbers_and_as_base64(serve: Serve) -> None:
    async with serve(encoder=FakeEncoder()) as served, sdk(served) as client:
        packed = await client.embeddings.create(model="fake", input=["one two", "three"])
        plain = await client.embeddings.create(model="fake", input=["one two", "three"], encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1]
    assert np.allclose(packed.data[1].embedding, [np.cos(5), np.sin(5)], atol=1e-6)
    assert np.allclose([item.embedding for item in packed.data], [item.embedding for item in plain.data], atol=1e-6)
    assert (packed.model, packed.usage.prompt_tokens, packed.usage.total_tokens) == ("fake", 3, 3)


async def test_one_text_needs_no_list_and_may_be_a_question(serve: Serve) -> None:
    encoder = FakeEncoder()
    async with serve(encoder=encoder) as served:
        status, body, _ = await post(served, input="one", user="ada", dimensions=2)
        await post(served, input="one", input_type="query")
    assert (status, body["object"], len(body["data"])) == (200, "list", 1)
    assert encoder.kinds == ["passage", "query"]


async def test_what_is_too_long_is_cut_and_counted_or_refused(serve: Serve) -> None:
    async with serve(encoder=FakeEncoder()) as served:
        status, body, headers = await post(served, input=["word " * 9, "word"])
        refused, error, _ = await post(served, input=["word " * 9, "word"], truncate=False)
    assert (status, body["usage"]["prompt_tokens"], headers["X-Truncated-Inputs"]) == (200, 9, "1")
    assert (refused, error["error"]["code"], error["error"]["param"]) == (400, "context_length_exceeded", "input")
    assert "8 tokens" in error["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": "a", "model": "text-embedding-3-small"}, 404, "model_not_found", "model"),
        ({"input": "a", "dimensions": 1}, 400, "invalid_request_error", "dimensions"),
        ({"input": ""}, 400, "invalid_request_error", "input"),
        ({"input": []}, 400, "invalid_request_error", "input"),
        ({"input": ["a", ""]}, 400, "invalid_request_error", "input"),
        ({"input": ["a"] * 2049}, 400, "invalid_request_error", "input"),
        ({"input": [1, 2, 3]}, 400, "invalid_request_error", "input"),
        ({"input": [[1, 2], [3]]}, 400, "invalid_request_error", "input"),
        ({"input": {"text": "a"}}, 400, "invalid_request_error", "input"),
        ({"input": [None]}, 400, "invalid_request_error", None),
        ({}, 400, "invalid_request_error", "input"),
        ({"input": "a", "encoding_format": "hex"}, 400, "invalid_request_error", "encoding_format"),
        ({"input": "a", "colour": "red"}, 400, "invalid_request_error", "colour"),
    ],
)
async def test_a_wrong_request_is_refused_in_openais_shape(
    serve: Serve, body: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    async with serve(encoder=FakeEncoder()) as served:
        found, answer, _ = await post(served, **body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert answer["error"]["message"]
    if param:
        assert answer["error"]["param"] == param


async def test_token_ids_are_refused_with_the_way_out(serve: Serve) -> None:
    async with serve(encoder=FakeEncoder()) as served:
        _, answer, _ = await post(served, input=[[1, 2]])
    assert "send texts (LangChain: check_embedding_ctx_length=False)" in answer["error"]["message"]


@pytest.mark.parametrize(("state", "code"), [("starting", "encoder_warming_up"), ("failed", "encoder_unavailable")])
async def test_an_encoder_that_is_not_ready_says_when_to_come_back(
    serve: Serve, state: EncoderState, code: str
) -> None:
    async with serve(encoder=FakeEncoder(state, "it loads fake")) as served:
        status, answer, headers = await post(served, input="a")
        async with served.client.get(f"{served.url}/health") as health:
            stands = await health.json()
    assert (status, answer["error"]["code"]) == (503, code)
    assert "it loads fake" in answer["error"]["message"]
    assert int(headers["Retry-After"]) > 0
    assert (stands["encoder"], stands["status"]) == (state, "ok"), "the health of the process is another matter"


async def test_without_an_encoder_or_a_key_nothing_is_embedded(serve: Serve) -> None:
    async with serve() as served:
        assert (await post(served, input="a"))[0] == 503
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.embeddings.create(model="fake", input="a")


async def test_a_caller_who_leaves_takes_its_texts_along(serve: Serve) -> None:
    encoder = FakeEncoder()
    encoder.hangs = asyncio.Event()
    async with serve(encoder=encoder) as served:
        waiting = asyncio.create_task(post(served, input="a"))
        await encoder.hangs.wait()
        waiting.cancel()
        async with asyncio.timeout(30):
            await encoder.cancelled.wait()
