"""Titles, research questions and slides: judged by what they must hold."""

from typing import Final, cast

from main_api.agents.piecewise import SLIDE_SCHEMA, topic_text
from main_api.agents.step_schema import response_format
from main_api.agents.titles import clean_title, title_messages
from main_api.bundled_model.evaluation.asking import Asker
from main_api.bundled_model.evaluation.judgement import Judgement
from main_api.bundled_model.evaluation.scoring import read_object
from main_api.bundled_model.evaluation.sets import TitleItem, TopicItem

_TIMES: Final = 5
"""How often in a row the next question and the next slide are asked for."""
_TITLE_TOKENS: Final = 32
_TITLE_WORDS: Final = 6
_QUESTION: Final = "one line with the topic in it, ending in ?, not asked before"
_SLIDE: Final = "a JSON object with a new title and two to four bullets"


async def titles(asker: Asker, item: TitleItem) -> list[Judgement]:
    """A title of up to six words that holds what the conversation is about."""
    messages = title_messages(asker.prompts, request=item.request, answer=item.answer)
    reply = await asker.chat(messages, max_tokens=_TITLE_TOKENS, temperature=0)
    title = clean_title(reply.text, request=item.request)
    written = bool(reply.text.strip())  # else the title is the beginning of the request
    holds = written and all(word.casefold() in title.casefold() for word in item.words)
    short = len(title.split()) <= _TITLE_WORDS
    wanted = f"up to six words with {' and '.join(item.words)}"
    return [
        Judgement(figure, counts, item.request, wanted, title)
        for figure, counts in (("right", holds and short), ("holds the words", holds))
    ]


async def topics(asker: Asker, item: TopicItem) -> list[Judgement]:
    """Five research questions and five slides, each asked for with the list of those before."""
    return [*await _questions(asker, item.topic), *await _slides(asker, item.topic)]


async def _questions(asker: Asker, topic: str) -> list[Judgement]:
    asked: list[str] = []
    judged: list[Judgement] = []
    for _ in range(_TIMES):
        text = topic_text(topic, "Asked so far", asked)
        got = (await asker.instructed("small/question", text)).text.strip()
        right = (
            got.endswith("?")
            and "\n" not in got
            and topic.casefold() in got.casefold()
            and got.casefold() not in map(str.casefold, asked)
        )
        judged.append(Judgement("research question right", right, text, _QUESTION, got))
        asked.append(" ".join(got.split()))
    return judged


async def _slides(asker: Asker, topic: str) -> list[Judgement]:
    made: list[str] = []
    judged: list[Judgement] = []
    for _ in range(_TIMES):
        text = topic_text(topic, "Slides so far", made)
        got = (await asker.instructed("small/slide", text, response_format=response_format(SLIDE_SCHEMA))).text
        slide = read_object(got) or {}
        title, bullets = slide.get("title"), slide.get("bullets")
        right = (
            isinstance(title, str)
            and bool(title.strip())
            and title.casefold() not in map(str.casefold, made)
            and isinstance(bullets, list)
            and 2 <= len(cast("list[object]", bullets)) <= 4
            and all(isinstance(bullet, str) and bullet.strip() for bullet in cast("list[object]", bullets))
        )
        judged.append(Judgement("slide right", right, text, _SLIDE, got))
        made.append(" ".join(title.split()) if isinstance(title, str) else "")
    return judged
