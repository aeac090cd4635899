"""What a person asks for and what the right call for it is: the unit that every skill is put together from.

An `Ask` is one request, independent of the conversation that it stands in: the same one becomes a ReAct step, a native
call, a step of a plan, a title. `tool_use/` puts several together and decides which of the offered tools is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from main_api.bundled_model.corpus.facts.fact import Fact
from main_api.bundled_model.corpus.language.phrases import Piece
from main_api.bundled_model.corpus.language.words import Words

KindName = Literal["calculation", "web", "documents", "code", "slides", "special"]
STANDING: tuple[KindName, ...] = ("calculation", "web", "documents", "code", "slides")
"""The kinds for which the product itself has a tool. The others are `special`: any tool that a client may bring."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as it is offered: `arguments` are names, in the order in which `Ask.values` gives their values."""

    name: str
    arguments: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that is asked for.

    `request` is a whole message. `clause` is the same as an imperative clause in lower case without politeness or
    final punctuation, to be joined with others ("first A, then B"); empty where there is no such form. `values` are the
    arguments of the right call. `subject` is what it is about, for titles and for what follows. `tool` is the
    special tool that this is asked of; None for the five kinds that have standing tools. `fact` is what a search for it
    should find, where a fact is asked for.
    """

    kind: KindName
    request: Sequence[Piece]
    clause: Sequence[Piece]
    values: tuple[str, ...]
    subject: str
    tool: Tool | None = None
    fact: Fact | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool returned, and the sentence that answers the request by it."""

    observation: str
    answer: str


class Kind(Protocol):
    """One kind of request. Every module of `kinds/` has these three functions, which draw from `rng` alone."""

    def tool(self, rng: Random) -> Tool:
        """Return the standing tool of this kind under one of its many names and descriptions."""
        ...

    def ask(self, rng: Random, words: Words) -> Ask:
        """Return a request."""
        ...

    def result(self, rng: Random, words: Words, ask: Ask, tool: Tool) -> Result:
        """Return what the tool might answer to `ask`, never an error."""
        ...
