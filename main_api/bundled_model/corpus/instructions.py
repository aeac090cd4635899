"""The system prompts of the corpus: the product's own, rendered by the product's code, and other wordings of the same,
so that a changed prompt still works."""

import functools
from collections.abc import Sequence
from pathlib import Path
from random import Random

from main_api.agents.prompts import PromptLibrary
from main_api.bundled_model.corpus.ask import Tool
from main_api.bundled_model.corpus.language.phrases import phrases

_PROMPTS = Path(__file__).parents[3] / "prompts"
_OWN = 0.45
"""How often the product's own wording is used."""


def plain(rng: Random, skill: str) -> str:
    """Return a prompt without variables: the product's file for it, if it has one, or a phrase of [skill] in
    `instructions.txt`."""
    own = {"title": "agents/title", "chat": None}.get(skill, f"small/{skill}")
    if own and rng.random() < _OWN:
        return _library().render(own)
    return phrases("instructions").say(rng, skill)


def steps(rng: Random, tools: Sequence[Tool]) -> str:
    """Return the prompt for ReAct steps with `tools`."""
    if rng.random() < _OWN:
        return _library().render("agents/react_signature", tools=_shown(tools))
    lines = "\n".join(f"- {tool.name}({', '.join(tool.arguments)}): {tool.description}" for tool in tools)
    return _around(rng, "steps", lines)


def plan(rng: Random, tools: Sequence[Tool]) -> str:
    """Return the prompt for a plan with `tools`."""
    if rng.random() < _OWN:
        return _library().render("small/plan", tools=_shown(tools))
    return _around(rng, "plan", "\n".join(f"- {tool.name}: {tool.description}" for tool in tools))


def _around(rng: Random, skill: str, lines: str) -> str:
    """Put the list of tools between other words, before or after the words on the format."""
    book = phrases("instructions")
    role, form = book.say(rng, f"{skill} role"), book.say(rng, f"{skill} form")
    heading = rng.choice(("Tools:", "You have these tools:", "Available tools:", "The tools are:", "Use these tools:"))
    order = [role, f"{heading}\n{lines}", form] if rng.random() < 0.8 else [role, form, f"{heading}\n{lines}"]
    return "\n".join(order if rng.random() < 0.9 else order[1:])


def _shown(tools: Sequence[Tool]) -> list[dict[str, str]]:
    return [
        {"name": tool.name, "arguments": ", ".join(tool.arguments), "description": tool.description} for tool in tools
    ]


@functools.cache
def _library() -> PromptLibrary:
    return PromptLibrary(_PROMPTS)
