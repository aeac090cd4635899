"""Answers and summaries out of numbered sources."""

import re

from main_api.agents.piecewise import sources_text
from main_api.bundled_model.evaluation.asking import LONG_ANSWER, Asker
from main_api.bundled_model.evaluation.judgement import Judgement
from main_api.bundled_model.evaluation.scoring import same_answer
from main_api.bundled_model.evaluation.sets import ExtractionItem, SummaryItem

_CITATION = re.compile(r"\s*\[\d+\]")


async def extraction(asker: Asker, item: ExtractionItem) -> list[Judgement]:
    """The one sentence that answers, word for word, with its number; or that there is none."""
    text = f"{sources_text(item.sources)}\nQuestion: {item.question}"
    got = (await asker.instructed("small/extract", text)).text
    exact = same_answer(got, item.answers)
    sentence = same_answer(_CITATION.sub("", got), [_CITATION.sub("", answer) for answer in item.answers])
    kind = "answerable" if any(map(_CITATION.search, item.answers)) else "not answerable"
    return [
        Judgement(figure, counts, text, " or ".join(item.answers), got)
        for figure, counts in (
            ("sentence and citation exact", exact),
            ("sentence exact", sentence),
            (f"{kind}: sentence and citation exact", exact),
        )
    ]


async def summaries(asker: Asker, item: SummaryItem) -> list[Judgement]:
    """The first sentence of every source, each with its number."""
    text = sources_text(item.sources)
    got = (await asker.instructed("small/summary", text, max_tokens=LONG_ANSWER)).text
    cited = all(f"[{number}]" in got for number in range(1, len(item.sources) + 1))
    return [
        Judgement(figure, counts, text, item.answer, got)
        for figure, counts in (("exact", same_answer(got, [item.answer])), ("every source cited", cited))
    ]
