"""Checks that need no network: the same tokens and the same prompts in training and in llama.cpp."""

from collections.abc import Sequence
from itertools import count, islice

from tokenizers import Tokenizer

from main_api.bundled_model.corpus.conversation import segments
from main_api.bundled_model.export.card import Failure, Measure
from main_api.bundled_model.export.engine import LlamaCppServer
from main_api.bundled_model.export.requests import all_skills, messages_of, questions, rendered, tools_of
from main_api.bundled_model.export.strings import strings

SEED = 4711
"""Not one that is trained with; the words are held out too."""
_STRINGS = 1_000
_CONVERSATIONS = 500


async def token_ids(tokenizer: Tokenizer, server: LlamaCppServer, *, number: int = _STRINGS) -> Measure:
    """Compare the ids of strings of every kind, and that they give the same text back."""
    failures: list[Failure] = []
    for kind, text in strings(SEED, number):
        wanted = tokenizer.encode(text, add_special_tokens=False).ids
        got = await server.tokens(text)
        if got != wanted:
            failures.append(Failure(asked=f"{kind}: {text!r}", wanted=str(wanted), got=str(got)))
        elif (back := await server.text(got)) != text:
            failures.append(Failure(asked=f"{kind}, back to text", wanted=repr(text), got=repr(back)))
    return measure("token ids equal to llama.cpp's", number, failures)


def pieces(tokenizer: Tokenizer, *, number: int = _CONVERSATIONS) -> Measure:
    """Compare the tokens of whole conversations, as engines read them, with those of their pieces, as in training."""
    failures: list[Failure] = []
    for conversation in islice(all_skills(SEED), number):
        parts = [text for text, _ in segments(conversation)]
        whole = tokenizer.encode("".join(parts), add_special_tokens=False).ids
        trained = [token for part in parts for token in tokenizer.encode(part, add_special_tokens=False).ids]
        if whole != trained:
            place = next(place for place in count() if whole[: place + 1] != trained[: place + 1])
            near = [tokenizer.decode(ids[place - 8 : place + 4], skip_special_tokens=False) for ids in (trained, whole)]
            failures.append(Failure(asked=conversation.skill, wanted=repr(near[0]), got=repr(near[1])))
    return measure("conversations cut into tokens as in training", number, failures)


def template(text: str, *, number: int = _CONVERSATIONS) -> Measure:
    """Compare what Jinja makes of conversations by the chat template with what the corpus is rendered to."""
    failures: list[Failure] = []
    for conversation in islice(all_skills(SEED), number):
        wanted = "".join(piece for piece, _ in segments(conversation))
        got = rendered(text, conversation, generation_prompt=False)
        if got != wanted:
            failures.append(Failure(asked=conversation.skill, wanted=wanted, got=got))
    return measure("chat template in Jinja renders the corpus", number, failures)


async def template_in_llama_cpp(server: LlamaCppServer, *, number: int = _CONVERSATIONS) -> Measure:
    """Compare llama.cpp's own rendering, up to where the model answers."""
    failures: list[Failure] = []
    for question in islice(questions(SEED), number):
        got = await server.prompt(messages_of(question.conversation), tools_of(question.conversation))
        if got != question.prompt:
            failures.append(Failure(asked=question.skill, wanted=question.prompt, got=got))
    return measure("chat template in llama.cpp renders the corpus", number, failures)


def measure(name: str, number: int, failures: Sequence[Failure]) -> Measure:
    """Return how many of `number` are right, all of which should be."""
    return Measure(name=name, count=number - len(failures), of=number, goal="all", failures=failures)
