"""Texts and lists of words that a program is about."""

from collections.abc import Mapping
from random import Random

from main_api.bundled_model.corpus.language.numbers import in_words
from main_api.bundled_model.corpus.language.wording import capital
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.programs.inputs import Inputs, Maker, as_list, listed, usual


def _text_of(rng: Random, words: Words) -> str:
    chance = rng.random()
    if chance < 0.12:
        return usual(rng, "text")
    if chance < 0.5:
        word = words.any(rng)
        return word.capitalize() if chance < 0.2 else word
    if chance < 0.6:
        return words.name(rng)
    text = words.phrase(rng, shortest=2, longest=rng.choice((3, 5, 8)))
    if chance < 0.75:
        text = f"{words.common(rng)} {words.common(rng)} {text} {words.common(rng)}"
    return capital(text) if chance < 0.7 else text


def _text(rng: Random, words: Words) -> Inputs:
    return _with_text(_text_of(rng, words))


def _sentence(rng: Random, words: Words) -> Inputs:
    while " " not in (text := _text_of(rng, words)):
        pass
    return _with_text(text)


def _with_text(text: str, **values: object) -> Inputs:
    texts = {name: str(value) for name, value in values.items()}
    return Inputs(texts, {"t": text, **texts}, {"t": text, **values}, text)


def _word(rng: Random, words: Words) -> Inputs:
    chance = rng.random()
    if chance < 0.3:
        return _with_text(usual(rng, "palindrome"))
    word = words.any(rng)
    if chance < 0.5:
        word += word[::-1] if chance < 0.4 else word[-2::-1]
    return _with_text(word)


def _short(rng: Random, words: Words) -> Inputs:
    return _with_text(words.any(rng) if rng.random() < 0.8 else usual(rng, "palindrome"))


def _anagram(rng: Random, words: Words) -> Inputs:
    first = words.any(rng)
    second = "".join(rng.sample(first, len(first))) if rng.random() < 0.5 else words.any(rng)
    code = {"c": first, "d": second}
    quoted = rng.random() < 0.3
    return Inputs({name: f'"{text}"' if quoted else text for name, text in code.items()}, code, code)


def _letter(rng: Random, words: Words) -> Inputs:
    text = _text_of(rng, words)
    letters = [letter for letter in text.lower() if letter.isalpha()]
    return _with_text(text, c=rng.choice(letters) if rng.random() < 0.85 else rng.choice("aeioustrn"))


def _swap(rng: Random, words: Words) -> Inputs:
    text = _text_of(rng, words)
    return _with_text(text, c=rng.choice([c for c in text if c.isalnum()]), d=rng.choice("aeioxyz"))


def _repeat(rng: Random, words: Words) -> Inputs:
    n, text = rng.choice((2, 3, 3, 4, 5, 5, 6, 7, 8, 10, 12)), " ".join(_text_of(rng, words).split()[:3])
    typed = in_words(rng, n) if rng.random() < 0.2 else str(n)
    return Inputs({"n": typed}, {"t": text, "n": str(n)}, {"t": text, "n": n}, text)


def _words(rng: Random, words: Words) -> Inputs:
    make = rng.choice((words.any, words.any, words.common, words.rare, words.name))
    items = [make(rng) for _ in range(rng.randint(3, 7))]
    typed = [f'"{item}"' for item in items] if rng.random() < 0.25 else items
    blanks = any(" " in item for item in items)
    shown = ", ".join(typed) if blanks else listed(rng, typed)
    return Inputs({"ls": shown}, {"ls": as_list(items)}, {"ls": items})


TEXT_INPUTS: Mapping[str, Maker] = {
    "text": _text,
    "sentence": _sentence,
    "word": _word,
    "short": _short,
    "anagram": _anagram,
    "letter": _letter,
    "swap": _swap,
    "repeat": _repeat,
    "words": _words,
}
