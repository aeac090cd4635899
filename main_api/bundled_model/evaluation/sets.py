"""The shape of a set: one folder, a JSON Lines file for each skill, one typed item a line.

Every line is checked before anything is asked, so that a slip of the pen in a set shows as such and not as a failure
of the model.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.tools_contract import JsonObject

KnownTool = Literal["calculator", "websearch", "rag", "python_coder", "ppt_maker"]


class BadSet(ValueError):
    """A set cannot be used; the message names the file, the line and what is wrong with it."""


class Item(BaseModel):
    """One line. Unknown fields are refused: they would be wishes that nobody reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CallItem(Item):
    """A request for one of the known tools: accepted arguments, or for code what it may print (`*`: anything)."""

    request: str
    tool: KnownTool
    arguments: list[dict[str, str]] = []
    prints: list[str] = []
    files: dict[str, str] = {}

    @model_validator(mode="after")
    def _has_one_answer(self) -> Self:
        if (self.tool == "python_coder") != bool(self.prints) or bool(self.prints) == bool(self.arguments):
            raise ValueError("python_coder needs `prints`, every other tool `arguments`")
        return self


class OfferedTool(Item):
    name: str
    arguments: list[str]
    description: str


class UnknownToolItem(Item):
    """A request with tools of its own; `finish` where none of them fits."""

    request: str
    tools: list[OfferedTool] = Field(min_length=1, max_length=12)
    tool: str
    arguments: list[JsonObject] = []

    @model_validator(mode="after")
    def _is_answerable(self) -> Self:
        offered = {tool.name: tool.arguments for tool in self.tools}
        if self.tool == "finish":
            if self.arguments:
                raise ValueError("`finish` has no arguments")
        elif self.tool not in offered:
            raise ValueError(f"{self.tool} is not offered")
        elif not self.arguments or any(list(found) != offered[self.tool] for found in self.arguments):
            raise ValueError(f"the arguments are not those of {self.tool}")
        return self


class NativeCall(Item):
    name: str
    arguments: list[JsonObject] = Field(min_length=1)


class NativeItem(Item):
    """A request with OpenAI's `tools`, and the calls of the one turn that answers it."""

    request: str
    tools: list[JsonObject] = Field(min_length=1)
    calls: list[NativeCall]

    @model_validator(mode="after")
    def _is_answerable(self) -> Self:
        offered: dict[str, Any] = {
            tool["function"]["name"]: tool["function"]["parameters"]["properties"] for tool in self.tools
        }
        for call in self.calls:
            if call.name not in offered or any(found.keys() - offered[call.name].keys() for found in call.arguments):
                raise ValueError(f"{call.name} with these arguments is not offered")
        return self


class ObservationItem(Item):
    """A request, the call that was made for it, and what the tool answered."""

    request: str
    tool: str
    arguments: JsonObject
    observation: str
    answers: list[str] = Field(min_length=1)


class FailureItem(Item):
    """A call that failed, and perhaps the second try; then the same call again or an answer is right."""

    request: str
    tool: str
    arguments: JsonObject
    observations: list[str] = Field(min_length=1, max_length=2)
    expect: Literal["retry", "answer"]
    answers: list[str] = []

    @model_validator(mode="after")
    def _is_answerable(self) -> Self:
        if (self.expect == "answer") != bool(self.answers) or not self.observations[0].startswith("Error: "):
            raise ValueError("the first observation is an error, and `answers` goes with `answer`")
        return self


class PlannedStep(Item):
    tool: KnownTool
    needs: list[int]
    input: list[str] = []


class PlanItem(Item):
    """A request of two to five parts and its steps; `input` lists accepted words of the request where it is given."""

    request: str
    steps: list[PlannedStep] = Field(min_length=2, max_length=5)

    @model_validator(mode="after")
    def _is_answerable(self) -> Self:
        for number, step in enumerate(self.steps, 1):
            if any(not 1 <= need < number for need in step.needs):
                raise ValueError("a step needs earlier steps only")
            if any(words not in self.request for words in step.input):
                raise ValueError("an input is not in the request")
        return self


class RouterItem(Item):
    request: str
    agent: Literal["chat", "react", "plan_execute"]


class ExtractionItem(Item):
    sources: list[str] = Field(min_length=2, max_length=5)
    question: str
    answers: list[str] = Field(min_length=1)


class SummaryItem(Item):
    sources: list[str] = Field(min_length=2, max_length=5)
    answer: str


class RequestItem(Item):
    request: str


class ChatMessage(Item):
    role: Literal["user", "assistant"]
    content: str


class SmallTalkItem(Item):
    """A conversation that ends with the user's turn; any of `contains` must be in the answer."""

    messages: list[ChatMessage] = Field(min_length=1)
    contains: list[str] = Field(min_length=1)


class FollowUpItem(Item):
    """A conversation, the request that goes on with it, and the accepted call of a known tool."""

    messages: list[ChatMessage] = Field(min_length=2)
    request: str
    tool: KnownTool
    arguments: list[dict[str, str]] = Field(min_length=1)


class TitleItem(Item):
    """A first exchange; a good title holds all of `words`."""

    request: str
    answer: str
    words: list[str] = Field(min_length=1)


class TopicItem(Item):
    topic: str


def read(folder: Path, skill: str, item: type[Item]) -> list[Item]:
    """Read the items of a skill. Raises `BadSet`."""
    path = folder / f"{skill}.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadSet(f"The set {folder.name} has no {path.name} that can be read") from error
    return [_item(line, item, f"{folder.name}/{path.name}, line {number}") for number, line in enumerate(lines, 1)]


def _item(line: str, item: type[Item], where: str) -> Item:
    try:
        return item.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise BadSet(f"{where}: {place + ': ' if place else ''}{problem['msg']}") from error
    except (KeyError, TypeError) as error:
        raise BadSet(f"{where}: a tool is not one of OpenAI's objects") from error
