"""Questions answered by the one sentence of the sources that answers them, word for word."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from main_api.agents.piecewise import NOT_IN_SOURCES
from main_api.bundled_model.corpus import instructions
from main_api.bundled_model.corpus.conversation import Conversation, Message, answer, system, user
from main_api.bundled_model.corpus.facts.fact import Fact, fact
from main_api.bundled_model.corpus.facts.related import about, answers_same, filler, related, same_attribute
from main_api.bundled_model.corpus.facts.sources import heading, numbered, question
from main_api.bundled_model.corpus.language.wording import capital, small
from main_api.bundled_model.corpus.language.words import Words

_UNANSWERABLE = 0.15
_BY_SUBJECT = 0.5
"""How often what is said of one thing stands together."""
_PRONOUNS = 0.6
_PLURALS = {"things", "group", "crop", "pet", "device", "profession"}
_JOINED = 0.2
"""How often two sentences on one thing are made one."""
_SHORT = 0.25
"""How often a thing that is the only one of its sort is asked for under a shorter name."""
_OWNED = {"It": "Its", "He": "His", "She": "Her", "They": "Their"}


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of a passage, and the facts that it tells."""

    text: str
    facts: tuple[Fact, ...] = ()

    @property
    def subject(self) -> str:
        return self.facts[0].subject if self.facts else self.text


def conversation(rng: Random, words: Words) -> Conversation:
    """Return one to three questions on the same sources."""
    wanted = _wanted(rng, words, rng.choices((1, 2, 3), (6, 3, 1))[0])
    told = [one for one in wanted if rng.random() >= _UNANSWERABLE]
    passages = _passages(rng, words, wanted, told)
    sources = f"{heading(rng)}\n{numbered(rng, words, [' '.join(one.text for one in passage) for passage in passages])}"
    messages: list[Message] = [system(instructions.plain(rng, "extract"))]
    repeat = rng.random() < 0.5
    for number, one in enumerate(wanted):
        asked = question(rng, _shortened(rng, one) if _alone(one, passages) and rng.random() < _SHORT else one)
        messages.append(user(_asked(rng, sources, asked) if number == 0 or repeat else f"Question: {asked}"))
        messages.append(answer(_answer(one, passages)))
    return Conversation("extract", messages)


def _wanted(rng: Random, words: Words, count: int) -> list[Fact]:
    """Return facts to ask for, some of them close to one another."""
    found = [fact(rng, words)]
    while len(found) < count:
        near = rng.choice((about, same_attribute))(rng, words, found[0]) if rng.random() < 0.7 else None
        one = near or fact(rng, words, found[0].field)
        if not any(answers_same(one, other) for other in found):
            found.append(one)
        elif near is None or rng.random() < 0.3:
            break
    return found


def _passages(rng: Random, words: Words, wanted: Sequence[Fact], told: Sequence[Fact]) -> list[list[_Sentence]]:
    """Return one to six passages of one to three sentences that tell `told` and do not answer the rest."""
    count = rng.choices((1, 2, 3, 4, 5, 6), (2, 4, 5, 4, 2, 1))[0]
    sizes = [rng.choices((1, 2, 3), (5, 4, 2))[0] for _ in range(count)]
    known = list(wanted)
    sentences = [_Sentence(one.sentence, (one,)) for one in told]
    while len(sentences) < max(sum(sizes), len(told)):
        other = related(rng, words, rng.choice(wanted))
        if other is None:
            sentences.append(_Sentence(filler(rng, words)))
        elif not any(answers_same(other, one) for one in known):
            known.append(other)
            sentences.append(_Sentence(other.sentence, (other,)))
    rng.shuffle(sentences)
    if rng.random() < _BY_SUBJECT:
        subjects = [sentence.subject for sentence in sentences]
        sentences.sort(key=lambda sentence: subjects.index(sentence.subject))
    passages = [[sentences.pop(0) for _ in range(min(size, len(sentences)))] for size in sizes]
    passages[-1].extend(sentences)
    return [_with_pronouns(rng, passage) for passage in passages if passage]


def _with_pronouns(rng: Random, passage: list[_Sentence]) -> list[_Sentence]:
    """Call a subject "it" when the sentence before was about it too."""
    found = passage[:1]
    pronoun = ""
    for before, sentence in pairwise(passage):
        start = capital(sentence.subject)
        same = (
            sentence.facts
            and before.subject == sentence.subject
            and sentence.text.startswith((f"{start} ", f"{start}'s"))
        )
        if not same or rng.random() > _PRONOUNS:
            found.append(sentence)
            continue
        pronoun = pronoun or _pronoun(rng, sentence.facts[0])
        text = sentence.text.removeprefix(start)
        text = f"{_OWNED[pronoun]}{text[2:]}" if text.startswith("'s") else f"{pronoun}{text}"
        if rng.random() < _JOINED:
            link = rng.choice((", and", ";", ", while", " and", " –"))
            last = found.pop()
            found.append(_Sentence(f"{last.text[:-1]}{link} {small(text)}", last.facts + sentence.facts))
        else:
            found.append(_Sentence(text, sentence.facts))
    return found


def _pronoun(rng: Random, one: Fact) -> str:
    kinds = {slot.rstrip("0123456789") for slot, text in one.slots if text == one.subject}
    if "person" in kinds:
        return rng.choice(("He", "She"))
    plural = one.subject.startswith("the minutes") or one.subject.endswith(("tablets", "drops"))
    return "They" if plural or kinds & _PLURALS else "It"


def _alone(wanted: Fact, passages: Sequence[Sequence[_Sentence]]) -> bool:
    """Whether nothing else in the passages could go by a shorter name of its subject."""
    told = [one for passage in passages for sentence in passage for one in sentence.facts]
    others = {one.subject for one in told if one.subject != wanted.subject and one.topic == wanted.topic}
    return not others and any(one is wanted for one in told)


def _shortened(rng: Random, one: Fact) -> Fact:
    """Say "the bridge" for "the Harrow Bridge", "Harrow" for "the film Harrow", "Keller" for "Anna Keller"."""
    name = next((text for slot, text in one.slots if slot in ("name", "invented", "code", "person")), "")
    if not name or name not in one.subject:
        return one
    before, _, after = one.subject.partition(name)
    if after.strip():
        short = f"the {after.strip().lower()}"
    elif before.strip():
        short = rng.choice((before.strip(), name))
    else:
        short = name.rpartition(" ")[2]
    return replace(
        one,
        question=one.question.replace(one.subject, short),
        noun=one.noun.replace(one.subject, short),
        subject=short,
    )


def _asked(rng: Random, sources: str, asked: str) -> str:
    kind = rng.random()
    if kind < 0.7:
        return f"{sources}\nQuestion: {asked}"
    if kind < 0.82:
        return f"{sources}\n\nQuestion: {asked}"
    return f"Question: {asked}\n\n{sources}" if kind < 0.92 else f"Question: {asked}\n{sources}"


def _answer(wanted: Fact, passages: Sequence[Sequence[_Sentence]]) -> str:
    for number, passage in enumerate(passages, 1):
        for sentence in passage:
            if any(one is wanted for one in sentence.facts):
                return f"{sentence.text} [{number}]"
    return NOT_IN_SOURCES
