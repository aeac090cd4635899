"""The router over real backends: the bundled model in its engine, and an Ollama that fails or is off."""

from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import orjson
import pytest

from main_api.backends.engine import EngineOptions
from main_api.backends.engine_pool import EnginePool
from main_api.backends.local import LocalBackend
from main_api.backends.ollama import OllamaBackend
from main_api.backends.openai_compatible import OpenAICompatibleBackend
from main_api.backends.prompt_log import PromptLog
from main_api.backends.router import ModelRouter, RouterOptions
from main_api.events import TextDelta, UsageReported
from shared.errors import Unavailable
from tests.main_api.backends.conftest import GREETING
from tests.main_api.backends.ollama_server import OllamaServer

pytestmark = pytest.mark.slow

HELLO = [{"role": "user", "content": "Hello"}]
OFF = "http://127.0.0.1:9"


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "prompts.log"


@pytest.fixture
async def ollama() -> AsyncGenerator[OllamaServer]:
    async with OllamaServer().running() as running:
        yield running


@pytest.fixture
async def router(
    session: aiohttp.ClientSession, ollama: OllamaServer, tmp_path: Path, log_path: Path
) -> AsyncGenerator[ModelRouter]:
    pool = EnginePool(EngineOptions(log_dir=tmp_path / "logs", idle_unload_s=60, slots=2), session)
    log = PromptLog(log_path)
    backends = [
        LocalBackend(models_dir=tmp_path / "models", engines=pool),
        OllamaBackend(base_url=ollama.url, session=session),
        OpenAICompatibleBackend(name="vllm", base_url=f"{OFF}/v1", session=session),
    ]
    options = RouterOptions(fallback_models=["local/twinport-tiny"])
    router = ModelRouter({backend.name: backend for backend in backends}, options=options, prompt_log=log)
    yield router
    await router.aclose()
    await pool.aclose()
    log.close()


async def text_of(router: ModelRouter, name: str) -> tuple[str, str]:
    model = await router.resolve(name)
    events = [event async for event in model.stream(HELLO, temperature=0)]
    usage = next(event for event in events if isinstance(event, UsageReported))
    return "".join(event.text for event in events if isinstance(event, TextDelta)), usage.model


async def test_the_bundled_model_answers_by_its_bare_name(router: ModelRouter) -> None:
    assert await text_of(router, "twinport-tiny") == (GREETING, "local/twinport-tiny")


async def test_ollama_that_fails_is_followed_by_the_bundled_model(router: ModelRouter, ollama: OllamaServer) -> None:
    ollama.status = 503
    assert await text_of(router, "ollama/qwen2.5:14b") == (GREETING, "local/twinport-tiny")


async def test_a_relay_that_cannot_connect_is_followed_by_the_engine(router: ModelRouter) -> None:
    model = await router.resolve("vllm/anything")
    assert model.can_relay
    async with model.relay({"messages": HELLO, "temperature": 0}) as answer:
        body = orjson.loads(await answer.read())
    assert body["choices"][0]["message"]["content"] == GREETING
    assert model.answered_by == "local/twinport-tiny"


async def test_auto_passes_over_the_server_that_is_off_and_takes_ollama(router: ModelRouter) -> None:
    assert (await router.resolve("auto")).name == "ollama/qwen3:4b"  # the one that is loaded


async def test_listing_leaves_out_the_server_that_is_off(router: ModelRouter) -> None:
    ids = [model.id for model in await router.list_models()]
    assert "local/twinport-tiny" in ids
    assert "ollama/qwen2.5:14b" in ids
    assert not [name for name in ids if name.startswith("vllm/")]


async def test_a_model_of_the_server_that_is_off_cannot_be_shown(router: ModelRouter) -> None:
    with pytest.raises(Unavailable):
        await router.find("vllm/anything")
