"""The answer to a task from the results of its steps: one sentence for each, in order."""

from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.ask import Ask, Result, Tool
from main_api.bundled_model.corpus.conversation import Conversation, answer, system, user
from main_api.bundled_model.corpus.results import error, failed
from main_api.bundled_model.corpus.skills.parts import joined, kind_module, some_ask
from main_api.bundled_model.corpus.words import Words

_ERRORS = 0.18


def conversation(rng: Random, words: Words) -> Conversation:
    """Return the answer to a task of one to five steps."""
    count = rng.choices((1, 2, 3, 4, 5), (1, 6, 4, 2, 1))[0]
    asks = [some_ask(rng, words) for _ in range(count)]
    names: dict[str, Tool] = {}
    lines: list[str] = []
    answers: list[str] = []
    for number, ask in enumerate(asks, 1):
        tool = _tool(rng, ask, names)
        result = _result(rng, words, ask, tool)
        lines.append(f"{number}. {tool.name}: {result.observation}")
        answers.append(result.answer)
    task = f"Task: {joined(rng, asks)}\nResults:\n" + "\n".join(lines)
    return Conversation(
        "synthesis", [system(instructions.plain(rng, "synthesis")), user(task), answer(" ".join(answers))]
    )


def _tool(rng: Random, ask: Ask, names: dict[str, Tool]) -> Tool:
    """Return the tool that was used: one of a kind has one name throughout a task."""
    if ask.tool is not None:
        return ask.tool
    if ask.kind not in names:
        names[ask.kind] = kind_module(ask.kind).tool(rng)
    return names[ask.kind]


def _result(rng: Random, words: Words, ask: Ask, tool: Tool) -> Result:
    if rng.random() < _ERRORS:
        observation = error(rng)
        return Result(observation, failed(tool.name, observation))
    return kind_module(ask.kind).result(rng, words, ask, tool)
