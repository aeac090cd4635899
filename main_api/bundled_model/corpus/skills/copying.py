"""Copying by itself: words, numbers and codes without sense, repeated exactly."""

from random import Random

from main_api.bundled_model.corpus.conversation import Conversation, Message, answer, user
from main_api.bundled_model.corpus.language.words import Words

_VERBS = ("Repeat", "Say", "Copy", "Write", "Echo")


def conversation(rng: Random, words: Words) -> Conversation:
    """Return a conversation in which a text is to be repeated, several times over."""
    messages: list[Message] = []
    for _ in range(rng.randint(1, 3)):
        parts = [
            rng.choices((words.any, words.name, words.number, _code), (5, 2, 2, 1))[0](rng)
            for _ in range(rng.randint(2, 14))
        ]
        text = " ".join(parts)
        messages += [user(f"{rng.choice(_VERBS)}: {text}"), answer(text)]
    return Conversation("copying", messages)


def _code(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(1, 4)))
    return f"{letters}{rng.choice('-/_. ')}{rng.randint(1, 99999)}"
