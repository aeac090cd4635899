"""Finds the model that a request means, over all backends. How it is then asked is in `resolved.py`.

Names: `prefix/name` selects the backend; nothing or `auto` is the default model; a bare name means the default
backend, and also anything that exactly one listing has under that name. Names may have more slashes
(`openrouter/meta-llama/llama-4`): the first one counts, and only if it is a backend's.

`auto` picks, in order: DEFAULT_MODEL; a configured provider; a running Ollama; a GGUF file; an MLX model; the bundled
model. A backend that cannot be reached is passed over and remembered as such for some seconds.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from main_api.backends.breaker import CircuitBreaker
from main_api.backends.catalogue import Catalogue, Shelf
from main_api.backends.errors import ModelNotFound
from main_api.backends.prompt_log import PromptLog
from main_api.backends.protocol import Backend, Capabilities, EmbeddingBackend, ModelInfo, RelayBackend
from main_api.backends.resolved import WORTH_ANOTHER_MODEL, Candidate, ResolvedModel, Surroundings
from shared.errors import NotFound, TwinportError, Unavailable
from shared.logging import get_logger

_log = get_logger("router")

_ALIASES = {"llamacpp": "local"}
_OWN_MACHINE = ("ollama", "local", "mlx")
_REMEMBERED_S = 5.0
_MOST_REMEMBERED = 1000
_CAPABILITIES_WAIT_S = 1.0

PREFERRED_MODELS: Mapping[str, str] = {
    "openai": "gpt-5-mini",
    "openrouter": "openrouter/auto",
    "anthropic": "claude-haiku-4-5",
    "google": "gemini-flash-latest",
}
"""What `auto` means at a provider without DEFAULT_MODEL, if its list has it: small ones, so no bill surprises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterOptions:
    """Choices of the operator.

    `default_backend` is `auto` or a backend's name; `backend_models` names a backend's default model by its own name
    (OLLAMA_MODEL, say); `bundled_model` is the public name of the model of last resort.
    """

    default_backend: str = "auto"
    default_model: str | None = None
    fallback_models: Sequence[str] = ()
    backend_models: Mapping[str, str] = field(default_factory=dict[str, str])
    bundled_model: str = "local/twinport-tiny"


class ModelRouter:
    """All models of this process. `backends` are by the prefix of their models' public names."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        *,
        options: RouterOptions | None = None,
        prompt_log: PromptLog,
        catalogue: Catalogue | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self._backends = dict(backends)
        self._options = options or RouterOptions()
        self._default_backend = _ALIASES.get(self._options.default_backend, self._options.default_backend)
        self._catalogue = catalogue or Catalogue(self._backends)
        self._around = Surroundings(
            breaker=breaker or CircuitBreaker(), prompt_log=prompt_log, locate=self._locate_fallback
        )
        self._relays = {name: backend for name, backend in backends.items() if isinstance(backend, RelayBackend)}
        prefixes = [name.partition("/")[0] for name in self._options.fallback_models]
        self._fallbacks_relay = all(_ALIASES.get(prefix, prefix) in self._relays for prefix in prefixes)
        self._remembered: dict[str, tuple[float, Candidate]] = {}

    async def resolve(self, name: str | None) -> ResolvedModel:
        """Find the model that a caller names. Raises `ModelNotFound`, and `Unavailable` where no fallback is left."""
        try:
            primary = await self._locate(name or "auto")
        except WORTH_ANOTHER_MODEL as error:
            primary = await self._first_fallback(error)
        return ResolvedModel(
            primary, fallbacks=self._options.fallback_models, can_relay=self._can_relay(primary), around=self._around
        )

    def embedding_place(self, name: str) -> tuple[EmbeddingBackend, str] | None:
        """Return the backend whose prefix a name has, and its own name of that model; None if there is no such prefix.

        Raises `ModelNotFound` for a backend that makes no embeddings.
        """
        prefix, _, own = name.partition("/")
        backend = self._backends.get(_ALIASES.get(prefix, prefix)) if own else None
        if backend is None:
            return None
        if not isinstance(backend, EmbeddingBackend):
            raise ModelNotFound(name, f"`{prefix}/` makes no embeddings here. `GET /v1/models` lists the models.")
        return backend, own

    async def list_models(self) -> list[ModelInfo]:
        """List what can be asked now, backend by backend; an unreachable one is left out and logged."""
        shelves = await self._catalogue.everything(patient=True)
        return [info for shelf in shelves.values() if shelf for info in shelf.values()]

    async def find(self, name: str) -> ModelInfo:
        """Return the listed model that a name means, by the same rules as `resolve`."""
        candidate = await self._locate(name)
        shelf = await self._catalogue.of(candidate.backend.name)
        if shelf is None:
            raise Unavailable(f"The backend of `{candidate.public}` cannot be reached; try again later.")
        if (info := shelf.get(candidate.model)) is None:
            raise self._unknown(name)
        return info

    async def aclose(self) -> None:
        """Stop probing and close every backend."""
        await self._catalogue.aclose()
        await asyncio.gather(*(backend.aclose() for backend in self._backends.values()))

    async def _locate(self, name: str) -> Candidate:
        remembered = self._remembered.get(name)
        if remembered and time.monotonic() - remembered[0] < _REMEMBERED_S:
            return remembered[1]
        backend, model = await self._place(name)
        candidate = await self._describe(backend, model)
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = (time.monotonic(), candidate)
        return candidate

    async def _place(self, name: str) -> tuple[str, str]:
        """Return the backend and its own name of the model that `name` means."""
        if name == "auto":
            default = self._options.default_model
            return await (self._place(default) if default and default != "auto" else self._automatic())
        prefix, _, rest = name.partition("/")
        prefix = _ALIASES.get(prefix, prefix)
        if rest and prefix in self._backends:
            return prefix, rest
        return await self._bare(name)

    async def _bare(self, name: str) -> tuple[str, str]:
        default = self._default_backend if self._default_backend in self._backends else None
        shelves = await self._catalogue.everything()
        found = [(backend, own) for backend, shelf in shelves.items() if (own := _own_name(shelf, name))]
        at_default = next((place for place in found if place[0] == default), None)
        if at_default:
            return at_default
        if len(found) == 1:
            return found[0]
        if default:
            return default, name  # not every backend lists all that it takes; it will say if it does not know it
        if found:
            choices = " or ".join(f"`{backend}/{own}`" for backend, own in found)
            raise ModelNotFound(name, f"Several backends have it: say {choices}.")
        raise self._unknown(name)

    async def _automatic(self) -> tuple[str, str]:
        if self._default_backend != "auto":
            return self._default_of(self._default_backend, await self._shelf_of(self._default_backend))
        shelves = await self._catalogue.everything()
        bundled_backend, _, bundled = self._options.bundled_model.partition("/")
        providers = [name for name in self._backends if name not in _OWN_MACHINE]
        for backend in (*providers, *_OWN_MACHINE):
            shelf = {name: info for name, info in (shelves.get(backend) or {}).items() if name != bundled}
            if shelf:
                return self._default_of(backend, shelf)
        if bundled_backend in self._backends:
            return bundled_backend, bundled
        raise Unavailable("No model can be reached; configure a provider, start Ollama or pull a GGUF file.")

    async def _shelf_of(self, backend: str) -> Shelf:
        if backend not in self._backends:
            raise Unavailable(f"LLM_BACKEND is `{backend}`, which is not configured; set its key or address.")
        shelf = await self._catalogue.of(backend)
        if shelf is None and backend not in self._options.backend_models and backend not in PREFERRED_MODELS:
            raise Unavailable(f"The backend `{backend}` cannot be reached, and DEFAULT_MODEL names no model of it.")
        return shelf or {}

    def _default_of(self, backend: str, shelf: Shelf) -> tuple[str, str]:
        """Pick a backend's default: the configured one, a known good one, the one in memory, or the first."""
        if configured := self._options.backend_models.get(backend):
            return backend, configured
        preferred = PREFERRED_MODELS.get(backend)
        if preferred and (preferred in shelf or not shelf):
            return backend, preferred
        loaded = (name for name, info in shelf.items() if info.loaded and backend == "ollama")
        first = next(loaded, None) or next(iter(shelf), None)
        if first is None:
            raise Unavailable(f"The backend `{backend}` has no model; pull one, or name one in DEFAULT_MODEL.")
        return backend, first

    async def _describe(self, backend_name: str, model: str) -> Candidate:
        backend = self._backends[backend_name]
        public = f"{backend_name}/{model}"
        relay = self._relays.get(backend_name)
        candidate = Candidate(public=public, backend=backend, relay=relay, model=model, capabilities=Capabilities())
        try:
            async with asyncio.timeout(_CAPABILITIES_WAIT_S):
                capabilities = await backend.capabilities(model)
        except (TimeoutError, *WORTH_ANOTHER_MODEL) as error:
            _log.info("capabilities unknown", model=public, reason=str(error))
            return candidate  # asking it will show what is wrong, and is where the fallbacks are
        except NotFound as error:
            raise error if isinstance(error, ModelNotFound) else ModelNotFound(public, error.message) from error
        return replace(candidate, capabilities=capabilities)

    async def _locate_fallback(self, name: str) -> Candidate | None:
        try:
            return await self._locate(name)
        except TwinportError as error:
            _log.warning("fallback skipped", model=name, reason=error.message)
            return None

    async def _first_fallback(self, error: TwinportError) -> Candidate:
        for name in self._options.fallback_models:
            if candidate := await self._locate_fallback(name):
                _log.warning("fallback", next=candidate.public, reason=error.message)
                return candidate
        raise error

    def _can_relay(self, primary: Candidate) -> bool:
        return primary.relay is not None and self._fallbacks_relay

    def _unknown(self, name: str) -> ModelNotFound:
        return ModelNotFound(
            name,
            "`GET /v1/models` lists the models; `auto` picks one. "
            f"Names begin with one of: {', '.join(f'{backend}/' for backend in self._backends)}.",
        )


def _own_name(shelf: Shelf | None, name: str) -> str | None:
    return next((own for own in (name, f"{name}:latest") if own in (shelf or {})), None)
