"""Proofs that the exported files are the model that was trained: `text_checks.py`, and the same answers everywhere.

Each check returns a `Measure` with what differed. Answers are compared in one pass: the network reads the prompt with
what the engine wrote, and agrees if each of the engine's tokens is the one that the network finds likeliest there,
which is when it would have written the same.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import Tokenizer
from torch import Tensor

from main_api.bundled_model.export import checkpoint, gguf_file, safetensors_folder
from main_api.bundled_model.export.card import Failure, Figures, Measure
from main_api.bundled_model.export.engine import LlamaCppServer, Written, serving
from main_api.bundled_model.export.gguf_file import Precision
from main_api.bundled_model.export.model import Model
from main_api.bundled_model.export.requests import Question, questions
from main_api.bundled_model.export.text_checks import (
    SEED,
    measure,
    pieces,
    template,
    template_in_llama_cpp,
    token_ids,
)
from main_api.bundled_model.tokenizer import END
from main_api.bundled_model.training.network import Network

_PROMPTS = 50
_LONGEST_PROMPT = 768
_LONGEST_ANSWER = 200


async def all_checks(model: Model) -> list[Measure]:
    """Export `model` in every form to a folder that goes away again, and run every check on it."""
    network = checkpoint.network_of(model)
    measures = [template(model.chat_template), pieces(model.tokenizer)]
    figures = Figures(version="0", parameters=model.parameters, sizes=model.sizes, training_tokens=0, seed=0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for precision in Precision:
            gguf = folder / f"{precision}.gguf"
            gguf_file.write(model, gguf, precision, figures)
            async with serving(gguf) as server:
                if precision is Precision.F32:
                    measures += [await token_ids(model.tokenizer, server), await template_in_llama_cpp(server)]
                measures.append(await answers(network, model.tokenizer, server, f"llama.cpp, {precision.upper()}"))
        if importlib.util.find_spec("mlx_lm"):
            measures.append(answers_of_mlx(network, model, folder / "mlx"))
    return measures


async def answers(
    network: Network, tokenizer: Tokenizer, server: LlamaCppServer, name: str, *, number: int = _PROMPTS
) -> Measure:
    """Compare greedy answers of llama.cpp with the network's."""
    failures: list[Failure] = []
    for question, prompt in _prompts(tokenizer, number):
        written = await server.greedy(prompt, _LONGEST_ANSWER)
        failures += _difference(network, tokenizer, question, prompt, written)
    return measure(f"greedy answers equal: {name}", number, failures)


def answers_of_mlx(network: Network, model: Model, folder: Path, *, number: int = _PROMPTS) -> Measure:
    """Compare greedy answers of mlx-lm with the network's. Writes the Hugging Face folder to `folder`."""
    write = _mlx_writer(safetensors_folder.write(model, folder))
    failures: list[Failure] = []
    for question, prompt in _prompts(model.tokenizer, number):
        failures += _difference(network, model.tokenizer, question, prompt, write(prompt))
    return measure("greedy answers equal: mlx-lm", number, failures)


def _prompts(tokenizer: Tokenizer, number: int) -> Iterator[tuple[Question, list[int]]]:
    encoded = ((one, tokenizer.encode(one.prompt, add_special_tokens=False).ids) for one in questions(SEED))
    return islice(((one, tokens) for one, tokens in encoded if len(tokens) <= _LONGEST_PROMPT), number)


def _mlx_writer(folder: Path) -> Callable[[Sequence[int]], Written]:
    mlx, mlx_lm = importlib.import_module("mlx.core"), importlib.import_module("mlx_lm")
    steps = importlib.import_module("mlx_lm.generate").generate_step
    network, _ = mlx_lm.load(str(folder))

    def write(prompt: Sequence[int]) -> Written:
        tokens: list[int] = []
        for token, _ in steps(mlx.array(list(prompt)), network, max_tokens=_LONGEST_ANSWER):
            if token == END:
                return Written(tokens, ended=True)
            tokens.append(int(token))
        return Written(tokens, ended=False)

    return write


def _difference(
    network: Network, tokenizer: Tokenizer, question: Question, prompt: Sequence[int], written: Written
) -> Iterator[Failure]:
    """Yield how `written` differs from what the network would write, if it does."""
    wanted = written.tokens + [END] * written.ended
    scores = _scores(network, [*prompt, *wanted[:-1]])[len(prompt) - 1 :]
    likeliest = scores.argmax(-1).tolist()
    for place, (ours, theirs) in enumerate(zip(likeliest, wanted, strict=True)):
        if ours != theirs:
            margin = float(scores[place, ours] - scores[place, theirs])
            end = [
                tokenizer.decode([*written.tokens[:place], last], skip_special_tokens=False) for last in (ours, theirs)
            ]
            asked = f"{question.skill}: …{question.prompt[-120:]} (scores {margin:.3f} apart)"
            yield Failure(asked=asked, wanted=end[0], got=end[1])
            return


def _scores(network: Network, tokens: Sequence[int]) -> Tensor:
    with torch.inference_mode():
        return network.logits(network(torch.tensor([list(tokens)])))[0]
