"""Lists and citations with a small model: it fills in one piece at a time, and code does what code does better.

A model that copies and chooses loses count. So the number of questions and slides, and the number of a citation, are
never its affair: it is asked for the next piece until there are enough, and a cited sentence is looked up in the
sources. Bigger models are better asked for everything at once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from main_api.agents.clock import closing
from main_api.agents.prompts import PromptLibrary
from main_api.agents.step_schema import response_format
from main_api.backends.protocol import ChatModel, Message
from main_api.events import TextDelta
from shared.tools_contract import JsonObject

SLIDE_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "bullets": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 5},
    },
    "required": ["title", "bullets"],
    "additionalProperties": False,
}
LAST_SLIDE = "This is the last slide."
NOT_IN_SOURCES = "The sources do not say that."


@dataclass(frozen=True, slots=True)
class Slide:
    """One slide of an outline."""

    title: str
    bullets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """A sentence of the sources and which of them it is from, counted from 1; None where they do not say."""

    text: str
    source: int | None

    def __str__(self) -> str:
        return self.text if self.source is None else f"{self.text} [{self.source}]"


class Piecewise:
    """Ask `model` for one piece at a time."""

    def __init__(self, model: ChatModel, prompts: PromptLibrary) -> None:
        self._model = model
        self._prompts = prompts

    async def questions(self, topic: str, count: int) -> list[str]:
        """Return up to `count` research questions about `topic`; fewer if the model begins to repeat itself."""
        asked: list[str] = []
        while len(asked) < count:
            question = (await self._ask("question", topic_text(topic, "Asked so far", asked))).strip()
            if not question or question in asked:
                break
            asked.append(question)
        return asked

    async def slides(self, topic: str, count: int) -> list[Slide]:
        """Return an outline of up to `count` slides about `topic`; fewer if the model begins to repeat itself."""
        slides: list[Slide] = []
        while len(slides) < count:
            titles = [slide.title for slide in slides]
            text = topic_text(topic, "Slides so far", titles)
            if slides and len(slides) == count - 1:
                text = f"{text}\n{LAST_SLIDE}"
            slide = _slide(await self._ask("slide", text, shape=SLIDE_SCHEMA))
            if slide is None or slide.title in titles:
                break
            slides.append(slide)
        return slides

    async def cited(self, question: str, sources: Sequence[str]) -> CitedAnswer:
        """Return the sentence of `sources` that answers `question`. Its number comes from where it stands, not from
        the model; a sentence that stands nowhere is no answer."""
        written = await self._ask("extract", f"{sources_text(sources)}\nQuestion: {question}")
        sentence = written.strip().rsplit(" [", 1)[0].strip()
        for number, source in enumerate(sources, 1):
            if sentence and sentence.casefold() in source.casefold():
                return CitedAnswer(sentence, number)
        return CitedAnswer(NOT_IN_SOURCES, None)

    async def _ask(self, prompt: str, text: str, *, shape: JsonObject | None = None) -> str:
        messages: list[Message] = [
            {"role": "system", "content": self._prompts.render(f"small/{prompt}")},
            {"role": "user", "content": text},
        ]
        options: dict[str, Any] = {"temperature": 0}
        if shape is not None and self._model.capabilities.json_schema:
            options["response_format"] = response_format(shape)
        written = ""
        async with closing(self._model.stream(messages, **options)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    written += event.text
        return written


def topic_text(topic: str, heading: str, so_far: Sequence[str]) -> str:
    """Return what a small model is shown of a growing list."""
    lines = [f"Topic: {topic}"]
    if so_far:
        lines += [f"{heading}:", *(f"{number}. {item}" for number, item in enumerate(so_far, 1))]
    return "\n".join(lines)


def sources_text(sources: Sequence[str]) -> str:
    """Return sources with the numbers by which they are cited."""
    return "\n".join(["Sources:", *(f"[{number}] {source}" for number, source in enumerate(sources, 1))])


def _slide(written: str) -> Slide | None:
    """Read a slide; None if it is none."""
    try:
        slide: Any = json.loads(written)
        bullets = cast("list[Any]", slide["bullets"])
        return Slide(str(slide["title"]), tuple(map(str, bullets)))
    except (ValueError, TypeError, KeyError):
        return None
