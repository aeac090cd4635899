"""MLX on the CPU with the bundled model's own weights: a real mlx_lm.server behind the real supervisor."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from main_api.backends.engine import EngineOptions, EngineStopped, EngineUnavailable
from main_api.backends.engine_pool import EnginePool
from main_api.backends.mlx import MlxBackend
from main_api.backends.openai_wire_errors import ContextLengthExceeded
from main_api.backends.protocol import ModelRequest
from main_api.bundled_model.export import from_gguf, safetensors_folder
from main_api.events import ChoiceFinished, ModelEvent, TextDelta, UsageReported
from shared.errors import InvalidRequest, NotFound

from .conftest import BUNDLED, GREETING

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mlx_lm", reason="the extra mlx is not installed")
    folder = tmp_path_factory.mktemp("mlx")
    safetensors_folder.write(from_gguf.read(BUNDLED, context=1024), folder / "tiny")
    (folder / "broken").mkdir()
    for file in (folder / "tiny").iterdir():
        (folder / "broken" / file.name).write_bytes(file.read_bytes()[:2_000_000])
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnginePool]:
    async with aiohttp.ClientSession() as session:
        pool = EnginePool(EngineOptions(log_dir=tmp_path_factory.mktemp("logs")), session)
        yield pool
        await pool.aclose()


@pytest.fixture
def mlx(pool: EnginePool, models_dir: Path) -> MlxBackend:
    return MlxBackend(models_dir=models_dir, engines=pool, cache=None)


def ask(text: str = "Hello", **options: Any) -> ModelRequest:
    return ModelRequest(
        model="tiny", messages=[{"role": "user", "content": text}], options={"temperature": 0, **options}
    )


async def events_of(mlx: MlxBackend, request: ModelRequest) -> list[ModelEvent]:
    return [event async for event in mlx.stream(request)]


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


one_loop = pytest.mark.asyncio(loop_scope="module")


@one_loop
async def test_answers_as_llama_cpp_does(mlx: MlxBackend) -> None:
    events = await events_of(mlx, ask())
    assert text_of(events) == GREETING
    assert ChoiceFinished("stop") in events
    assert isinstance(events[-1], UsageReported)
    assert events[-1].model == "mlx/tiny"
    assert events[-1].usage.prompt_tokens == 9


@one_loop
async def test_lists_usable_folders_with_what_they_can(mlx: MlxBackend) -> None:
    models = {model.id: model for model in await mlx.models()}
    assert models["mlx/tiny"].capabilities.context_length == 1024
    assert models["mlx/tiny"].capabilities.tool_mode == "text"
    assert not models["mlx/tiny"].capabilities.json_schema


@one_loop
async def test_several_at_once(mlx: MlxBackend) -> None:
    answers = await asyncio.gather(*(events_of(mlx, ask()) for _ in range(6)))
    assert [text_of(events) for events in answers] == [GREETING] * 6


@one_loop
async def test_seed_stop_and_limit(mlx: MlxBackend) -> None:
    hot = {"temperature": 1.9, "max_tokens": 12, "seed": 7}
    assert text_of(await events_of(mlx, ask(**hot))) == text_of(await events_of(mlx, ask(**hot)))
    stopped = await events_of(mlx, ask(stop=["help"]))
    assert text_of(stopped) == "Hello! How can I "
    assert stopped[-2] == ChoiceFinished("stop")
    assert isinstance(stopped[-1], UsageReported)
    assert stopped[-1].usage.completion_tokens < 20
    assert ChoiceFinished("length") in await events_of(mlx, ask(max_completion_tokens=3))


@one_loop
async def test_too_long_prompt_is_told_like_openai(mlx: MlxBackend) -> None:
    with pytest.raises(ContextLengthExceeded, match="maximum context length is 1024 tokens"):
        await events_of(mlx, ask("Hello " * 3000))


@one_loop
@pytest.mark.parametrize(
    "options",
    [
        {"n": 2},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "x"}}]},
        {"tools": [{"type": "function", "function": {"name": "x"}}], "tool_choice": "required"},
        {"temperature": -1},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/"}}]}
            ]
        },
    ],
)
async def test_what_mlx_would_ignore_is_refused(mlx: MlxBackend, options: dict[str, Any]) -> None:
    messages = options.pop("messages", [{"role": "user", "content": "Hello"}])
    with pytest.raises(InvalidRequest):
        await events_of(mlx, ModelRequest(model="tiny", messages=messages, options=options))


@one_loop
async def test_tools_that_must_not_be_called_are_left_out(mlx: MlxBackend) -> None:
    tools = [{"type": "function", "function": {"name": "x"}}]
    assert text_of(await events_of(mlx, ask(tools=tools, tool_choice="none"))) == GREETING


@one_loop
async def test_fields_that_load_other_models_do_not_reach_the_engine(mlx: MlxBackend) -> None:
    options = {"adapters": "/etc", "draft_model": "/etc", "model": "/etc"}
    assert text_of(await events_of(mlx, ask(**options))) == GREETING


@one_loop
async def test_engine_is_private(mlx: MlxBackend, pool: EnginePool) -> None:
    await events_of(mlx, ask(max_tokens=1))
    process = psutil.Process(pool.status()[0].pid)
    listening = [c.laddr for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening] == ["127.0.0.1"]
    url = f"http://127.0.0.1:{listening[0].port}"
    async with aiohttp.ClientSession() as stranger:
        async with stranger.post(f"{url}/v1/chat/completions", json={"messages": []}) as response:
            assert response.status == 401
        async with stranger.get(f"{url}/v1/models") as response:
            assert response.status == 404


@one_loop
async def test_hanging_up_frees_the_engine(mlx: MlxBackend) -> None:
    streams = [mlx.stream(ask("Write slides", logit_bias={"2": -100}, max_tokens=900)) for _ in range(3)]
    for stream in streams:
        await anext(stream)
        await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]
    async with asyncio.timeout(10):  # 2,700 tokens take half a minute here
        assert text_of(await events_of(mlx, ask())) == GREETING


@one_loop
async def test_killed_child_gives_a_clear_error_and_the_next_request_works(mlx: MlxBackend, pool: EnginePool) -> None:
    stream = mlx.stream(ask("Write slides", logit_bias={"2": -100}, max_tokens=900))
    await anext(stream)
    os.kill(next(status.pid or 0 for status in pool.status() if status.model == "mlx/tiny"), signal.SIGKILL)
    with pytest.raises(EngineStopped):
        async for _ in stream:
            pass
    assert text_of(await events_of(mlx, ask())) == GREETING


@one_loop
async def test_broken_folder_does_not_start(mlx: MlxBackend) -> None:
    request = ModelRequest(model="broken", messages=[{"role": "user", "content": "Hello"}])
    with pytest.raises((EngineUnavailable, NotFound)):
        await events_of(mlx, request)


@one_loop
async def test_models_in_hugging_faces_cache_are_listed(pool: EnginePool, models_dir: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--acme--tiny"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    for file in (models_dir / "tiny").iterdir():
        (snapshot / file.name).symlink_to(file)
    mlx = MlxBackend(models_dir=tmp_path / "none", engines=pool, cache=tmp_path)
    assert [model.id for model in await mlx.models()] == ["mlx/acme/tiny"]


@one_loop
async def test_a_template_that_mlx_knows_means_native_tools(pool: EnginePool, models_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "qwen"
    folder.mkdir()
    for file in (models_dir / "tiny").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    template = "{% if tools %}<tool_call>{{ tool_call.name }}</tool_call>{% endif %}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    mlx = MlxBackend(models_dir=tmp_path, engines=pool, cache=None)
    assert (await mlx.capabilities("qwen")).tool_mode == "native"
