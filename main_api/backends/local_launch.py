"""How a GGUF file is served: the command lines of the three llama.cpp engines, chosen by LLAMACPP_ENGINE.

`xllamacpp` is the embedded default and what our tests run. `llama-server` (llama.cpp's own binary) and
`llama-cpp-python` (its `llama_cpp.server`) are started by the documented flags through `engines/command_child.py`;
they were tested with a stand-in that speaks the protocol, not with the real programs.
"""

import os
from dataclasses import dataclass
from typing import Any, Literal

from main_api.backends.engine import EngineOptions, EngineSpec
from main_api.backends.engine_process import PYTHON, Launch
from main_api.backends.local_models import LocalModel
from main_api.backends.protocol import Capabilities

LlamaCppEngine = Literal["xllamacpp", "llama-server", "llama-cpp-python"]

_PROMPT_CACHE_MB = 512
_CHILDREN = "main_api.backends.engines"


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCpp:
    """Which llama.cpp runs the files. `binary` is the llama-server program, `python` the one with llama-cpp-python."""

    engine: LlamaCppEngine = "xllamacpp"
    binary: str = "llama-server"
    python: str = PYTHON

    def spec(self, public_name: str, model: LocalModel, options: EngineOptions) -> EngineSpec:
        """Say how `model` is run."""
        builders = {
            "xllamacpp": _xllamacpp,
            "llama-server": self._llama_server,
            "llama-cpp-python": self._llama_cpp_python,
        }
        launch = builders[self.engine](public_name, model, options)
        return EngineSpec(model=public_name, launch=launch, version=model.version)

    def capabilities(self, model: LocalModel, options: EngineOptions) -> Capabilities:
        """Say what `model` can do on this engine: by its chat template, its training, and what the engine supports."""
        batching = self.engine != "llama-cpp-python"
        if model.is_bundled:
            return Capabilities(
                tool_mode="json_schema" if batching else "text",
                tool_prompt="signature",
                json_schema=batching,
                multiple_choices=batching,
                logprobs=batching,
                context_length=context_of(model, options),
            )
        native = model.facts is not None and model.facts.calls_tools
        return Capabilities(
            tool_mode="text" if not batching else "native" if native else "json_schema",
            json_schema=batching,
            multiple_choices=batching,
            logprobs=batching,
            context_length=context_of(model, options),
        )

    @property
    def defaults(self) -> dict[str, Any]:
        """Options that the engine would choose badly: llama-cpp-python penalises repetition, which spoils copying."""
        return {"repeat_penalty": 1.0} if self.engine == "llama-cpp-python" else {}

    def _llama_server(self, name: str, model: LocalModel, options: EngineOptions) -> Launch:
        slots, threads = options.slots, str(threads_of(model, options))
        return _command(
            "LLAMA_API_KEY",
            (self.binary, "--model", str(model.path), "--alias", name, "--host", "127.0.0.1", "--port", "{port}"),
            ("--parallel", str(slots), "--ctx-size", str(slots * context_of(model, options)), "--threads", threads),
            ("--threads-batch", threads, "--cache-ram", str(_prompt_cache(model))),
            ("--jinja", "--no-slots", "--no-webui"),
        )

    def _llama_cpp_python(self, name: str, model: LocalModel, options: EngineOptions) -> Launch:
        """One request at a time; without `interrupt_requests=false` a new one would cut the running one off."""
        threads = str(threads_of(model, options))
        launch = _command(
            "API_KEY",
            (self.python, "-m", "llama_cpp.server", "--model", str(model.path), "--model_alias", name),
            ("--host", "127.0.0.1", "--port", "{port}", "--n_ctx", str(context_of(model, options))),
            ("--n_threads", threads, "--n_threads_batch", threads, "--interrupt_requests", "false"),
        )
        return Launch(argv=launch.argv, health_path="/v1/models")


def context_of(model: LocalModel, options: EngineOptions) -> int:
    """Return the tokens of one slot: what is configured, but not more than the model was trained with."""
    trained = model.facts.context_length if model.facts else None
    return min(options.context, trained or options.context)


def threads_of(model: LocalModel, options: EngineOptions) -> int:
    """Return the configured threads, or one per core but one for the API where there are enough.

    The bundled model gets one: with two, each token waits for both threads, and on a busy two-core machine that makes
    it 300 instead of 1,800 tokens a second (on an idle one 2,300).
    """
    cores = os.cpu_count() or 1
    return options.threads or (1 if model.is_bundled else cores - 1 if cores > 3 else cores)


def _xllamacpp(name: str, model: LocalModel, options: EngineOptions) -> Launch:
    return Launch(
        argv=(
            PYTHON, "-m", f"{_CHILDREN}.llamacpp_child",
            "--model", str(model.path.resolve()),
            "--alias", name,
            "--slots", str(options.slots),
            "--context", str(context_of(model, options)),
            "--threads", str(threads_of(model, options)),
            "--prompt-cache-mb", str(_prompt_cache(model)),
        )
    )  # fmt: skip


def _command(key_variable: str, *parts: tuple[str, ...]) -> Launch:
    wrapper = (PYTHON, "-m", f"{_CHILDREN}.command_child", "--key-variable", key_variable, "--")
    return Launch(argv=(*wrapper, *(word for part in parts for word in part)))


def _prompt_cache(model: LocalModel) -> int:
    return 0 if model.is_bundled else _PROMPT_CACHE_MB
