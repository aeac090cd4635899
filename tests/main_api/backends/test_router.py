import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from main_api.backends.catalogue import Catalogue
from main_api.backends.errors import ModelNotFound
from main_api.backends.prompt_log import PromptLog
from main_api.backends.protocol import Backend, Capabilities
from main_api.backends.router import ModelRouter, RouterOptions
from shared.errors import NotFound, Unavailable
from tests.main_api.backends.fake_backend import FakeBackend, FakeRelay


@pytest.fixture
def prompt_log(tmp_path: Path) -> Iterator[PromptLog]:
    log = PromptLog(tmp_path / "prompts.log")
    yield log
    log.close()


@pytest.fixture
def local() -> FakeRelay:
    return FakeRelay("local", ("twinport-tiny", "llama-3b"))


@pytest.fixture
def ollama() -> FakeBackend:
    return FakeBackend("ollama", ("qwen2.5:14b", "gemma3:latest"), loaded="gemma3:latest")


@pytest.fixture
def openrouter() -> FakeRelay:
    return FakeRelay("openrouter", ("meta-llama/llama-4", "openrouter/auto"))


@pytest.fixture
def backends(local: FakeBackend, ollama: FakeBackend, openrouter: FakeBackend) -> list[FakeBackend]:
    return [local, ollama, openrouter]


class Routers:
    """Makes routers over given backends, all with the test's prompt log."""

    def __init__(self, prompt_log: PromptLog) -> None:
        self._prompt_log = prompt_log

    def __call__(self, *backends: Backend, fresh_s: float = 10.0, wait_s: float = 0.2, **options: Any) -> ModelRouter:
        by_name = {backend.name: backend for backend in backends}
        return ModelRouter(
            by_name,
            options=RouterOptions(**options),
            prompt_log=self._prompt_log,
            catalogue=Catalogue(by_name, fresh_s=fresh_s, wait_s=wait_s, patience_s=0.5),
        )


@pytest.fixture
def router_of(prompt_log: PromptLog) -> Routers:
    return Routers(prompt_log)


async def name_of(router: ModelRouter, name: str | None) -> str:
    return (await router.resolve(name)).name


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("local/llama-3b", "local/llama-3b"),
        ("llamacpp/llama-3b", "local/llama-3b"),
        ("ollama/qwen2.5:14b", "ollama/qwen2.5:14b"),
        ("ollama/not-listed", "ollama/not-listed"),
        ("openrouter/meta-llama/llama-4", "openrouter/meta-llama/llama-4"),
        ("meta-llama/llama-4", "openrouter/meta-llama/llama-4"),
        ("twinport-tiny", "local/twinport-tiny"),
        ("qwen2.5:14b", "ollama/qwen2.5:14b"),
        ("gemma3", "ollama/gemma3:latest"),
    ],
)
async def test_names_find_their_backend(
    router_of: Routers, backends: list[FakeBackend], asked: str, expected: str
) -> None:
    assert await name_of(router_of(*backends), asked) == expected


async def test_a_bare_name_means_the_default_backend_first(router_of: Routers, ollama: FakeBackend) -> None:
    other = FakeBackend("vllm", ("qwen2.5:14b",))
    router = router_of(ollama, other, default_backend="vllm")
    assert await name_of(router, "qwen2.5:14b") == "vllm/qwen2.5:14b"
    assert await name_of(router, "gemma3:latest") == "ollama/gemma3:latest"
    assert await name_of(router, "unlisted") == "vllm/unlisted"


async def test_an_ambiguous_bare_name_names_the_choices(router_of: Routers, ollama: FakeBackend) -> None:
    router = router_of(ollama, FakeBackend("vllm", ("qwen2.5:14b",)))
    with pytest.raises(ModelNotFound, match=r"`ollama/qwen2\.5:14b` or `vllm/qwen2\.5:14b`"):
        await router.resolve("qwen2.5:14b")


@pytest.mark.parametrize("name", ["gpt-5", "nope/gpt-5", "local/", "/", "a/b/c"])
async def test_an_unknown_name_is_openais_404_and_says_what_to_do(
    router_of: Routers, local: FakeBackend, name: str
) -> None:
    with pytest.raises(ModelNotFound) as raised:
        await router_of(local).resolve(name)
    assert raised.value.message.startswith(f"The model `{name}` does not exist or you do not have access to it.")
    assert "GET /v1/models" in raised.value.message
    assert "local/" in raised.value.message
    assert (raised.value.status, raised.value.code, raised.value.param) == (404, "model_not_found", "model")


async def test_a_backends_own_not_found_becomes_openais(router_of: Routers, local: FakeBackend) -> None:
    local.unknown = NotFound("no such file")
    with pytest.raises(ModelNotFound, match="no such file"):
        await router_of(local).resolve("local/nope")


@pytest.mark.parametrize("name", [None, "", "auto"])
async def test_auto_is_the_default_model_where_one_is_set(
    router_of: Routers, local: FakeBackend, ollama: FakeBackend, name: str | None
) -> None:
    router = router_of(local, ollama, default_model="local/llama-3b")
    assert await name_of(router, name) == "local/llama-3b"


async def test_auto_prefers_a_provider_then_ollama_then_a_file_then_the_bundled_model(
    router_of: Routers, local: FakeBackend, ollama: FakeBackend, openrouter: FakeBackend
) -> None:
    mlx = FakeBackend("mlx", ("mlx-model",))
    bundled_only = FakeBackend("local", ("twinport-tiny",))
    assert await name_of(router_of(local, ollama, mlx, openrouter), "auto") == "openrouter/openrouter/auto"
    assert await name_of(router_of(local, ollama, mlx), "auto") == "ollama/gemma3:latest"
    assert await name_of(router_of(local, mlx), "auto") == "local/llama-3b"
    assert await name_of(router_of(bundled_only, mlx), "auto") == "mlx/mlx-model"
    assert await name_of(router_of(bundled_only), "auto") == "local/twinport-tiny"


async def test_auto_passes_over_what_cannot_be_reached(
    router_of: Routers, local: FakeBackend, ollama: FakeBackend, openrouter: FakeBackend
) -> None:
    openrouter.listing = ollama.listing = Unavailable("off")
    assert await name_of(router_of(local, ollama, openrouter), "auto") == "local/llama-3b"


async def test_the_default_model_of_a_backend_can_be_set(router_of: Routers, ollama: FakeBackend) -> None:
    router = router_of(ollama, backend_models={"ollama": "qwen2.5:14b"})
    assert await name_of(router, "auto") == "ollama/qwen2.5:14b"


async def test_an_explicit_backend_is_the_default_even_when_it_is_off(router_of: Routers, ollama: FakeBackend) -> None:
    ollama.listing = Unavailable("off")
    router = router_of(ollama, default_backend="ollama", backend_models={"ollama": "qwen2.5:14b"})
    assert await name_of(router, "auto") == "ollama/qwen2.5:14b"


@pytest.mark.parametrize("default_backend", ["ollama", "anthropic"])
async def test_a_default_that_names_no_model_says_what_to_set(
    router_of: Routers, ollama: FakeBackend, default_backend: str
) -> None:
    ollama.listing = Unavailable("off")
    with pytest.raises(Unavailable, match=r"DEFAULT_MODEL|LLM_BACKEND"):
        await router_of(ollama, default_backend=default_backend).resolve("auto")


async def test_a_default_that_is_off_is_followed_by_the_fallbacks(
    router_of: Routers, ollama: FakeBackend, local: FakeBackend
) -> None:
    ollama.listing = Unavailable("off")
    router = router_of(ollama, local, default_backend="ollama", fallback_models=["local/twinport-tiny"])
    assert await name_of(router, "auto") == "local/twinport-tiny"


async def test_a_fallback_that_does_not_exist_is_skipped(router_of: Routers, local: FakeBackend) -> None:
    router = router_of(local, default_backend="anthropic", fallback_models=["nope/x", "local/twinport-tiny"])
    assert await name_of(router, "auto") == "local/twinport-tiny"


async def test_a_slow_backend_delays_a_request_by_the_wait_only_and_is_remembered(
    router_of: Routers, ollama: FakeBackend, local: FakeBackend
) -> None:
    ollama.delay_s = 3600.0
    router = router_of(ollama, local)
    async with asyncio.timeout(30):
        assert await name_of(router, "auto") == "local/llama-3b"
        await asyncio.sleep(0.5)  # the attempt gives up
        assert await name_of(router, "twinport-tiny") == "local/twinport-tiny"
    assert ollama.listed == 1


async def test_many_requests_at_once_probe_once(router_of: Routers, ollama: FakeBackend, local: FakeBackend) -> None:
    ollama.delay_s = 0.05
    router = router_of(ollama, local, wait_s=5.0)
    names = await asyncio.gather(*(name_of(router, "auto") for _ in range(50)))
    assert set(names) == {"ollama/gemma3:latest"}
    assert (ollama.listed, local.listed) == (1, 1)


async def test_an_old_listing_is_read_again(router_of: Routers, local: FakeBackend) -> None:
    router = router_of(local, fresh_s=0.0)
    await router.list_models()
    await router.list_models()
    assert local.listed == 2


async def test_capabilities_that_do_not_come_do_not_hold_a_request_up(router_of: Routers, ollama: FakeBackend) -> None:
    ollama.unknown = Unavailable("off")
    assert (await router_of(ollama).resolve("ollama/x")).capabilities == Capabilities()


async def test_capabilities_are_those_of_the_model(router_of: Routers) -> None:
    tiny = FakeBackend("local", capabilities=Capabilities(tool_mode="json_schema", context_length=2048))
    assert (await router_of(tiny).resolve("local/x")).capabilities.context_length == 2048


async def test_a_resolved_name_is_remembered(router_of: Routers, local: FakeBackend) -> None:
    router = router_of(local)
    for _ in range(5):
        await router.resolve("twinport-tiny")
    assert (local.listed, local.described) == (1, 1)


async def test_models_are_listed_over_all_backends_without_the_unreachable(
    router_of: Routers, local: FakeBackend, ollama: FakeBackend, openrouter: FakeBackend
) -> None:
    ollama.listing = Unavailable("off")
    openrouter.delay_s = 5.0
    models = await router_of(local, ollama, openrouter).list_models()
    assert [model.id for model in models] == ["local/twinport-tiny", "local/llama-3b"]


async def test_one_model_is_found_by_the_same_names(router_of: Routers, local: FakeBackend) -> None:
    router = router_of(local)
    assert (await router.find("twinport-tiny")).id == "local/twinport-tiny"
    assert (await router.find("local/llama-3b")).id == "local/llama-3b"
    assert (await router.find("auto")).id == "local/llama-3b"
    with pytest.raises(ModelNotFound):
        await router.find("local/nope")


async def test_a_model_of_an_unreachable_backend_is_unavailable_not_unknown(
    router_of: Routers, ollama: FakeBackend
) -> None:
    ollama.listing = Unavailable("off")
    with pytest.raises(Unavailable):
        await router_of(ollama).find("ollama/qwen2.5:14b")


async def test_closing_closes_every_backend(router_of: Routers, local: FakeBackend, ollama: FakeBackend) -> None:
    ollama.delay_s = 5.0
    router = router_of(local, ollama)
    await router.resolve("auto")
    await router.aclose()
    assert local.closed
    assert ollama.closed
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
