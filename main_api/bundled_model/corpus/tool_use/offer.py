"""Which tools a conversation offers, and which of them is right for a request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from main_api.bundled_model.corpus.ask import STANDING, Ask, KindName, Result, Tool
from main_api.bundled_model.corpus.kinds import KINDS, special
from main_api.bundled_model.corpus.language.words import Words

_THOUGHTS: dict[KindName, str] = {
    "calculation": "This is a calculation",
    "web": "This is about the world",
    "documents": "This is in the documents",
    "code": "This needs a program",
    "slides": "This is a presentation",
    "special": "There is a special tool",
}
_OTHERS, _OTHERS_WEIGHTS = (0, 1, 2, 3, 5, 7), (55, 15, 12, 8, 6, 4)
_NAMES_THE_WEB = re.compile(r"\b(web|online|internet|google|net|browse|browser|website|websites|surf)\b", re.IGNORECASE)
_PYTHON_READS_IT = re.compile(r"[0-9 .()+*/-]+")


@dataclass(frozen=True, slots=True)
class Choice:
    """The right call for a request: the tool, the values of its arguments in order, and why in a few words."""

    kind: KindName
    tool: Tool
    values: tuple[str, ...]
    thought: str

    @property
    def arguments(self) -> dict[str, str]:
        return dict(zip(self.tool.arguments, self.values, strict=True))


class Offer:
    """The tools of one conversation. Every kind that is offered has one tool in it.

    `needed` are the requests to come: their tools are offered, but for those of the kind `without`, of which the model
    must learn to say that it has none.
    """

    def __init__(self, rng: Random, words: Words, *, needed: Sequence[Ask], without: KindName | None = None) -> None:
        kinds: set[KindName] = {ask.kind for ask in needed if ask.kind != "special"}
        standing: list[KindName] = [
            kind for kind in STANDING if kind in kinds or rng.random() < (0.75 if rng.random() < 0.8 else 0.2)
        ]
        self._by_kind: dict[KindName, Tool] = {kind: KINDS[kind].tool(rng) for kind in standing if kind != without}
        self._special = [ask.tool for ask in needed if ask.tool is not None and without != "special"]
        extra = rng.choices(_OTHERS, _OTHERS_WEIGHTS)[0]
        others = special.distractors(rng, words, needed[0], extra) if needed else []
        offered = [*self._by_kind.values(), *self._special, *others]
        rng.shuffle(offered)
        self.tools = _named_once(offered) or [special.tool(rng)]

    def choose(self, ask: Ask, text: str) -> Choice | None:
        """Return the right call for `ask`, which was worded as `text`; None where no tool fits."""
        if ask.tool is not None:
            if not self._has(ask):
                return None
            return Choice("special", ask.tool, ask.values, self._thought("special", ask.tool))
        if ask.kind in self._by_kind:
            return self._choice(ask.kind, ask.values)
        if ask.kind == "web" and "documents" in self._by_kind and not _NAMES_THE_WEB.search(text):
            return self._choice("documents", ask.values)
        if ask.kind == "calculation" and "code" in self._by_kind and _PYTHON_READS_IT.fullmatch(ask.values[0]):
            return self._choice("code", (f"print({ask.values[0]})",))
        return None

    def tool_for(self, kind: KindName, ask: Ask | None) -> Tool:
        """Return the tool of a kind that is certainly offered."""
        return ask.tool if ask is not None and ask.tool is not None else self._by_kind[kind]

    def result(self, rng: Random, words: Words, ask: Ask, choice: Choice) -> Result:
        """Return what the chosen tool might answer."""
        if ask.kind == "calculation" and choice.kind == "code":
            number = KINDS["calculation"].result(rng, words, ask, choice.tool)
            return Result(number.observation, f"The program printed: {number.observation}")
        return KINDS[choice.kind].result(rng, words, ask, choice.tool)

    def _has(self, ask: Ask) -> bool:
        return ask.tool in self._special and any(tool == ask.tool for tool in self.tools)

    def _choice(self, kind: KindName, values: tuple[str, ...]) -> Choice:
        tool = self._by_kind[kind]
        return Choice(kind, tool, values, self._thought(kind, tool))

    def _thought(self, kind: KindName, tool: Tool) -> str:
        return f"{_THOUGHTS[kind]}, so I use {tool.name}."


def _named_once(tools: Sequence[Tool]) -> list[Tool]:
    """Return the first tool of every name."""
    by_name: dict[str, Tool] = {}
    for tool in tools:
        by_name.setdefault(tool.name, tool)
    return list(by_name.values())
