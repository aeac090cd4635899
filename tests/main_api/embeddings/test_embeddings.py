"""`POST /v1/embeddings` of the main API: by the tools API's encoder or a provider, charged to who asks."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from aiohttp import web

from tests.main_api.served.platform import Platform
from tests.main_api.toolbox.server import Handler

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

OURS = "all-MiniLM-L6-v2"
PATIENCE_S = 20


class Encoder:
    """The tools API's `/v1/embeddings` and what it says of its model."""

    def __init__(self, served: Platform) -> None:
        self._tools = served.tools
        self._tools.bodies.clear()
        self._tools.on_embeddings, self._tools.on_rag = self._embed, self._status
        self.model: str | None = OURS
        self.hung_up = asyncio.Event()

    def does(self, handler: Handler) -> None:
        self._tools.on_embeddings = handler

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return self._tools.bodies

    @property
    def asked(self) -> web.Request:
        return self._tools.requests[-1]

    async def hang(self, _request: web.Request) -> web.StreamResponse:
        try:
            await asyncio.sleep(600)
        except BaseException:
            self.hung_up.set()
            raise
        raise AssertionError

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if body["model"] != OURS:
            error = {"message": f"The model is {OURS}.", "type": "invalid_request_error", "code": "model_not_found"}
            return web.json_response({"error": error}, status=404)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        raw = struct.pack("<3f", 1.0, 0.0, 0.0)
        vector = base64.b64encode(raw).decode() if body["encoding_format"] == "base64" else [1.0, 0.0, 0.0]
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, _ in enumerate(texts)]
        usage = {"prompt_tokens": 4 * len(texts), "total_tokens": 4 * len(texts)}
        return web.json_response({"object": "list", "data": data, "model": OURS, "usage": usage})

    async def _status(self, _request: web.Request) -> web.StreamResponse:
        encoder = {"state": "ready", "model": self.model, "dimensions": 384} if self.model else {"state": "failed"}
        return web.json_response({"encoder": encoder})


@pytest_asyncio.fixture(loop_scope="session")
async def encoder(served: Platform) -> AsyncIterator[Encoder]:
    usual = served.tools.on_embeddings, served.tools.on_rag
    yield Encoder(served)
    served.tools.on_embeddings, served.tools.on_rag = usual


async def embed(served: Platform, key: str, **fields: Any) -> Any:
    return await served.call("POST", "/v1/embeddings", {"model": OURS, "input": "Hello", **fields}, key=key)


async def test_the_official_sdk_gets_vectors(served: Platform, encoder: Encoder) -> None:
    async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.program, max_retries=0) as client:
        made = await client.embeddings.create(model=OURS, input=["Hello", "World"])
        plain = await client.embeddings.create(model=OURS, input="Hello", encoding_format="float")

    assert [one.embedding for one in made.data] == [[1.0, 0.0, 0.0]] * 2
    assert made.usage.prompt_tokens == 8
    assert plain.data[0].embedding == [1.0, 0.0, 0.0]
    assert encoder.bodies[0] == {"model": OURS, "input": ["Hello", "World"], "encoding_format": "base64"}


async def test_a_call_is_charged_like_a_chat(served: Platform, encoder: Encoder) -> None:
    provider = served.model()  # a name that is this test's alone
    usage = {"prompt_tokens": 11, "total_tokens": 11}

    async def answer(_request: web.Request, _body: dict[str, Any]) -> web.StreamResponse:
        data = [{"object": "embedding", "index": 0, "embedding": [1.0]}]
        return web.json_response({"object": "list", "data": data, "model": provider, "usage": usage})

    served.upstream.does(provider, answer)
    answer_ = await embed(served, served.program, model=f"compatible/{provider}", dimensions=1, user="x")

    assert (answer_.status, answer_.body["usage"]) == (200, usage)
    sent = served.upstream.scripts[provider].bodies[-1]
    assert sent == {"model": provider, "input": "Hello", "encoding_format": "float", "dimensions": 1}
    (row,) = await served.usage(provider)
    assert (row["agent"], row["prompt_tokens"], row["completion_tokens"], row["status"]) == ("embeddings", 11, 0, 200)
    assert row["key_id"] is not None


async def test_our_own_model_is_asked_for_the_person(served: Platform, encoder: Encoder) -> None:
    assert (await embed(served, served.person)).status == 200
    assert encoder.asked.headers["x-acting-for"].startswith("user-")


@pytest.mark.parametrize(
    "model", ["no-such-model", "local/twinport-tiny", "ollama/nomic-embed-text", "compatible/none"]
)
async def test_a_model_that_makes_no_embeddings_is_not_found(served: Platform, encoder: Encoder, model: str) -> None:
    answer = await embed(served, served.person, model=model)
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": ["x", 1]}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "3"}, "dimensions"),
    ],
)
async def test_bad_input_names_the_field(served: Platform, encoder: Encoder, fields: Any, param: str) -> None:
    answer = await embed(served, served.person, **fields)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["param"].split(".")[0] == param
    assert encoder.bodies == []


async def test_an_encoder_that_starts_says_when_to_come_back(served: Platform, encoder: Encoder) -> None:
    async def warming_up(_request: web.Request) -> web.StreamResponse:
        error = {"message": "The encoder is starting.", "type": "service_unavailable", "code": "encoder_warming_up"}
        return web.json_response({"error": error}, status=503, headers={"retry-after": "3"})

    encoder.does(warming_up)
    answer = await embed(served, served.person)
    assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "encoder_warming_up", "3")


async def test_a_caller_who_leaves_ends_the_call(served: Platform, encoder: Encoder) -> None:
    encoder.does(encoder.hang)
    call = asyncio.create_task(embed(served, served.person))
    async with asyncio.timeout(PATIENCE_S):
        while not encoder.bodies:
            await asyncio.sleep(0.01)
    call.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await encoder.hung_up.wait()


async def test_who_may_ask(served: Platform, encoder: Encoder) -> None:
    limited = await served.new_key(served.person, scopes=["models", "tools"])
    assert (await embed(served, limited)).status == 403
    tools_own = (served.data_dir / "secrets" / "tools_llm_api_key").read_text().strip()
    assert (await embed(served, tools_own)).status == 403  # the tools API would ask itself
    assert encoder.bodies == []


async def test_the_model_is_listed_as_one_that_makes_vectors(served: Platform, encoder: Encoder) -> None:
    encoder.model = served.model()
    async with asyncio.timeout(PATIENCE_S):  # what is known of the encoder is kept for some seconds
        while True:
            listed = (await served.call("GET", "/v1/models", key=served.person)).body["data"]
            if any(model["id"] == encoder.model for model in listed):
                break
            await asyncio.sleep(0.2)
    assert (listed[-1]["id"], listed[-1]["type"], listed[-1]["dimensions"]) == (encoder.model, "embedding", 384)
    assert {model["type"] for model in listed[:-1]} == {"chat"}
    assert (await served.call("GET", f"/v1/models/{encoder.model}", key=served.person)).body["type"] == "embedding"
    chat = await served.call(
        "POST",
        "/v1/chat/completions",
        {"model": encoder.model, "messages": [{"role": "user", "content": "Hi"}]},
        key=served.person,
    )
    assert (chat.status, chat.error["code"]) == (404, "model_not_found")
