"""The next question of a piece of research: the first of a fixed order that has not been asked yet."""

from collections.abc import Sequence
from random import Random

from main_api.agents.piecewise import topic_text
from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.conversation import Conversation, answer, system, user
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.topics import topic
from main_api.bundled_model.corpus.language.words import Words

QUESTIONS = (
    "What is meant by {}?",
    "What is the history of {}?",
    "What are the main parts of {}?",
    "Who deals with {}?",
    "What are examples of {}?",
    "What are the benefits of {}?",
    "What are the risks of {}?",
    "What are the costs of {}?",
    "What do experts say about {}?",
    "What has changed about {} in recent years?",
    "What are the alternatives to {}?",
    "What is the future of {}?",
)
"""In words that fit one thing and many."""


def conversation(rng: Random, words: Words) -> Conversation:
    """Return a topic with the questions so far, and the next one."""
    about = topic(rng, words)
    questions = [question.format(about) for question in QUESTIONS]
    following = rng.choice(questions)
    asked = so_far(rng, questions, following, "question", about)
    text = topic_text(about, "Asked so far", asked)
    return Conversation("research", [system(instructions.plain(rng, "question")), user(text), answer(following)])


def so_far(rng: Random, order: Sequence[str], following: str, section: str, about: str) -> Sequence[str]:
    """Return what there is when `following` is the next: all before it in `order`, sometimes among others."""
    done = list(order[: order.index(following)])
    if rng.random() < 0.2:
        for _ in range(rng.choice((1, 1, 2, 3))):
            other = phrases("outline").say(rng, section, topic=about)
            if other not in order:
                done.insert(rng.randint(0, len(done)), other)
    return done
