"""The answer to a task from the results of its steps: one sentence for each, in order."""

from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.ask import Ask, KindName, Result, Tool
from main_api.bundled_model.corpus.conversation import Conversation, answer, system, user
from main_api.bundled_model.corpus.facts.fact import fact
from main_api.bundled_model.corpus.facts.related import related
from main_api.bundled_model.corpus.kinds import KINDS
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.tool_use.failures import error, failed
from main_api.bundled_model.corpus.tool_use.parts import joined, parts
from main_api.bundled_model.corpus.tool_use.requests import some_ask

_ERRORS = 0.18
_BUILDING_ON = 0.5
"""How often steps may use the results of earlier ones."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of the task; `ask` is None where it builds on an earlier one."""

    kind: KindName
    ask: Ask | None


def conversation(rng: Random, words: Words) -> Conversation:
    """Return the answer to a task of one to five steps."""
    count = rng.choices((1, 2, 3, 4, 5), (1, 6, 4, 2, 1))[0]
    steps: list[_Step] = []
    if count > 1 and rng.random() < _BUILDING_ON:
        request = parts(rng, words, count)
        text = request.text
        steps.extend(_Step(part.kind, part.ask) for part in request.parts)
    else:
        asks = [some_ask(rng, words) for _ in range(count)]
        text = joined(rng, asks)
        steps.extend(_Step(ask.kind, ask) for ask in asks)
    tools: dict[str, Tool] = {}
    lines: list[str] = []
    answers: list[str] = []
    for number, step in enumerate(steps, 1):
        tool = _tool(rng, step, tools)
        result = _result(rng, words, step, tool)
        lines.append(f"{number}. {tool.name}: {result.observation}")
        answers.append(result.answer)
    task = f"Task: {text}\nResults:\n" + "\n".join(lines)
    prompt = system(instructions.plain(rng, "synthesis"))
    return Conversation("synthesis", [prompt, user(task), answer(" ".join(answers))])


def _tool(rng: Random, step: _Step, tools: dict[str, Tool]) -> Tool:
    """Return the tool that was used: one of a kind has one name throughout a task."""
    if step.ask is not None and step.ask.tool is not None:
        return step.ask.tool
    if step.kind not in tools:
        tools[step.kind] = KINDS[step.kind].tool(rng)
    return tools[step.kind]


def _result(rng: Random, words: Words, step: _Step, tool: Tool) -> Result:
    if rng.random() < _ERRORS:
        observation = error(rng)
        return Result(observation, failed(tool.name, observation))
    if step.ask is None and step.kind in ("web", "documents"):
        return _only_source(rng, words)
    module = KINDS[step.kind]
    return module.result(rng, words, step.ask or module.ask(rng, words), tool)


def _only_source(rng: Random, words: Words) -> Result:
    """Return what a search for an earlier result finds. Its words are not in the task, so it is one source, whose first
    sentence answers."""
    found = fact(rng, words)
    more = related(rng, words, found) if rng.random() < 0.3 else None
    return Result(f"[1] {found.sentence}{f' {more.sentence}' if more else ''}", f"{found.sentence} [1]")
