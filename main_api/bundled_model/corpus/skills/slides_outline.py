"""The next slide of a presentation: the first of a fixed order that is not there yet, or the summary as the last."""

from random import Random

from main_api.agents.piecewise import LAST_SLIDE, topic_text
from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.conversation import Conversation, answer, as_json, system, user
from main_api.bundled_model.corpus.language.topics import topic
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.skills.research import so_far

SLIDES = {
    "Overview": ("What is meant by {}", "Why it matters", "What this talk covers"),
    "Background": ("The history of {}", "Important terms"),
    "How it works": ("The main parts of {}", "The steps in order", "What is needed"),
    "Examples": ("Examples of {}", "A well-known case"),
    "Benefits": ("What gets easier with {}", "Who gains most", "Effects over time"),
    "Risks": ("What can go wrong with {}", "How to avoid it"),
    "Costs": ("First costs of {}", "Costs over time", "Ways to save"),
    "In practice": ("First steps with {}", "Common mistakes"),
    "Comparison": ("Alternatives to {}", "Strengths and weaknesses", "When to choose which"),
    "People": ("Who works on {}", "Who is affected"),
    "Open questions": ("What is not known about {}", "What is disputed"),
    "Outlook": ("The future of {}", "What to watch", "What may change"),
}
LAST = ("The main points of {}", "What to remember", "Next steps")


def conversation(rng: Random, words: Words) -> Conversation:
    """Return a topic with the titles so far, and the next slide."""
    about = topic(rng, words)
    order = list(SLIDES)
    last = rng.random() < 0.18
    following = rng.choice(order)
    titles = so_far(rng, order, following, "title", about)
    text = topic_text(about, "Slides so far", titles) + (f"\n{LAST_SLIDE}" if last else "")
    title, points = ("Summary", LAST) if last else (following, SLIDES[following])
    slide = {"title": title, "bullets": [point.format(about) for point in points]}
    return Conversation("slides", [system(instructions.plain(rng, "slide")), user(text), answer(as_json(slide))])
