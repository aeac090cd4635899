import contextlib
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from main_api.auth.deps import authenticate_request
from main_api.auth.principal import ALL_SCOPES, Principal
from main_api.backends.prompt_log import PromptLog
from main_api.backends.protocol import Capabilities, ModelInfo
from main_api.backends.router import ModelRouter
from main_api.models.router import router as models_router
from main_api.models.service import ModelService
from shared.errors import TwinportError, Unauthenticated, Unavailable
from tests.main_api.backends.fake_backend import FakeBackend
from tests.main_api.models.running import Running

KEYS = {"all": ALL_SCOPES, "chat-only": frozenset({"chat"})}


async def _authenticate(request: Request) -> Principal:
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    if key not in KEYS:
        raise Unauthenticated("Send an API key.")
    return Principal(user_id=1, username="ada", role="user", credential="api_key", scopes=KEYS[key])


async def _render(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TwinportError)
    body = {"message": error.message, "type": error.type, "code": error.code, "param": error.param}
    return JSONResponse({"error": body}, status_code=error.status)


async def _no_embeddings() -> list[ModelInfo]:
    return []


@pytest.fixture
def ollama() -> FakeBackend:
    return FakeBackend("ollama", ("qwen2.5:14b",), capabilities=Capabilities(vision=True))


@pytest.fixture
def prompt_log(tmp_path: Path) -> Iterator[PromptLog]:
    log = PromptLog(tmp_path / "prompts.log")
    yield log
    log.close()


@pytest.fixture
async def server(ollama: FakeBackend, prompt_log: PromptLog) -> AsyncGenerator[Running]:
    local = FakeBackend("local", ("twinport-tiny", "qwen/q4"))
    models = ModelRouter({"local": local, "ollama": ollama}, prompt_log=prompt_log)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        yield {"models": ModelService(models, _no_embeddings)}

    app = FastAPI(lifespan=lifespan)
    app.include_router(models_router)
    app.add_exception_handler(TwinportError, _render)
    app.dependency_overrides[authenticate_request] = _authenticate
    async with Running.serve(uvicorn.Config(app, log_config=None)) as running:
        yield running
    await models.aclose()


@pytest.fixture
async def client(server: Running) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="all", max_retries=0) as made:
        yield made


@pytest.mark.slow
async def test_the_openai_sdk_lists_the_models(client: openai.AsyncOpenAI) -> None:
    page = await client.models.list()
    assert [model.id for model in page.data] == ["local/twinport-tiny", "local/qwen/q4", "ollama/qwen2.5:14b"]
    assert {model.object for model in page.data} == {"model"}
    assert page.data[0].owned_by == "local"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("local/qwen/q4", "local/qwen/q4"),
        ("ollama/qwen2.5:14b", "ollama/qwen2.5:14b"),
        ("twinport-tiny", "local/twinport-tiny"),
        ("auto", "ollama/qwen2.5:14b"),
    ],
)
async def test_the_openai_sdk_gets_one_model(client: openai.AsyncOpenAI, name: str, expected: str) -> None:
    assert (await client.models.retrieve(name)).id == expected


async def test_an_unknown_model_is_openais_404(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await client.models.retrieve("gpt-99")
    assert raised.value.code == "model_not_found"
    assert raised.value.param == "model"


async def test_a_backend_that_is_off_is_left_out(client: openai.AsyncOpenAI, ollama: FakeBackend) -> None:
    ollama.listing = Unavailable("off")
    assert [model.id for model in (await client.models.list()).data] == ["local/twinport-tiny", "local/qwen/q4"]


async def test_what_a_model_can_do_is_shown_beside_openais_fields(server: Running) -> None:
    status, shown = await get(f"{server.url}/v1/models/ollama/qwen2.5:14b", key="all")
    assert status == 200
    assert set(shown) >= {"id", "object", "created", "owned_by", "description", "context_length", "capabilities"}
    assert shown["capabilities"]["vision"] is True
    assert shown["capabilities"]["tools"] == "native"


@pytest.mark.parametrize(("key", "status"), [("", 401), ("wrong", 401), ("chat-only", 403), ("all", 200)])
async def test_it_needs_a_key_with_the_scope(server: Running, key: str, status: int) -> None:
    assert (await get(f"{server.url}/v1/models", key=key))[0] == status
    assert (await get(f"{server.url}/v1/models/twinport-tiny", key=key))[0] == status


async def get(url: str, *, key: str) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.json()
