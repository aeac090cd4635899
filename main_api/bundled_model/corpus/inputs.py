"""What a request for a program is about: lists of numbers, texts, files, dates; as typed, in code, and as values."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from main_api.bundled_model.corpus.phrases import phrases
from main_api.bundled_model.corpus.words import Words
from main_api.bundled_model.corpus.written import in_words

_UNITS_SHARE = 0.05
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    "twelfth",
)


@dataclass(frozen=True, slots=True)
class Inputs:
    """By slot: what is typed, what is put into the program, and what to compute its output from."""

    typed: Mapping[str, str]
    code: Mapping[str, str]
    values: Mapping[str, Any]
    text: str = field(default="")
    """A free text that is quoted or not, as its place in the request allows; `typed` does not hold it."""


def inputs(rng: Random, words: Words, kind: str) -> Inputs:
    """Return inputs of one kind: a name from `programs.Task.inputs`."""
    return _MAKERS[kind](rng, words)


def numbers(rng: Random, *, whole: bool = False) -> list[Any]:
    """Return 3 to 12 numbers of about one size."""
    count = rng.choices(range(3, 13), (6, 8, 8, 6, 5, 4, 2, 2, 1, 1))[0]
    low, high = rng.choice(((1, 9), (1, 20), (1, 50), (1, 99), (10, 99), (1, 500), (100, 999), (1, 5000)))
    chance = rng.random()
    if chance < 0.12 and not whole:
        places = rng.choice((1, 1, 2))
        return [round(rng.uniform(0.5, high), places) for _ in range(count)]
    if chance < 0.2:
        return [rng.randint(-high, high) for _ in range(count)]
    found = [rng.randint(low, high) for _ in range(count)]
    if chance > 0.7:
        for _ in range(rng.randint(1, 3)):
            found[rng.randrange(count)] = rng.choice(found)
    return found


def listed(rng: Random, items: Sequence[str]) -> str:
    """Join items as people do: commas, blanks, "and", brackets."""
    joined = ", ".join(items)
    short = all(len(item) < 3 for item in items)
    ways = (
        (10, joined),
        (4, f"{', '.join(items[:-1])} and {items[-1]}"),
        (2, f"{', '.join(items[:-1])}, and {items[-1]}"),
        (4, f"[{joined}]"),
        (1, f"({joined})"),
        (3, " ".join(items)),
        (1, f"{' '.join(items[:-1])} and {items[-1]}"),
        (1, "; ".join(items)),
        (1, f"[{','.join(items)}]"),
        (1.5 if short else 0, ",".join(items)),
        (0.5, f"[{' '.join(items)}]"),
        (0.3, " and ".join(items)),
        (0.3, " | ".join(items)),
        (0.2, "\n".join(items)),
    )
    return rng.choices([text for _, text in ways], [weight for weight, _ in ways])[0]


def _few(rng: Random, words: Words) -> Inputs:
    return _numbers(rng, words, least=2)


def _numbers(rng: Random, words: Words, *, whole: bool = False, repeated: bool = False, least: int = 3) -> Inputs:
    xs = numbers(rng, whole=whole)
    if least == 2 and rng.random() < 0.15:
        xs = xs[:2]
    if repeated:
        kept = xs[: max(2, len(xs) // 2)]
        xs = kept + [rng.choice(kept) for _ in xs[len(kept) :]]
    inner = sorted(xs)[len(xs) // 2]
    k = rng.choice((inner, rng.choice(xs), int(round(inner, -1)) or 10)) if rng.random() < 0.9 else rng.randint(2, 50)
    m = rng.randint(2, max(2, min(len(xs) - 1, 5))) if not whole else rng.choice((2, 3, 3, 4, 5, 5, 6, 7, 10, 10, 100))
    given = {"k": str(k), "m": str(m)}
    texts = [str(x) for x in xs]
    count = in_words(rng, len(xs)) if rng.random() < 0.5 else str(len(xs))
    either = f"{', '.join(texts[:-1])} or {texts[-1]}"
    return Inputs(
        {"n": listed(rng, _measured(rng, texts)), "o": either, "count": count, **given},
        {"xs": f"[{', '.join(texts)}]", **given},
        {"xs": xs, "k": k, "m": m},
    )


def _measured(rng: Random, texts: list[str]) -> list[str]:
    """Put a currency or a unit to every number, now and then."""
    if rng.random() > _UNITS_SHARE or texts[0].startswith("-"):
        return texts
    pattern = rng.choice(("${}", "${}", "€{}", "£{}", "{}€", "{} km", "{} kg", "{}%", "{} euros", "{} °C", "{} cm"))
    return [pattern.format(text) for text in texts]


def _wholes(rng: Random, words: Words, *, repeated: bool = False) -> Inputs:
    found = _numbers(rng, words, whole=True, repeated=repeated)
    k = rng.choice(found.values["xs"])
    changed = {"k": str(k)}
    return Inputs({**found.typed, **changed}, {**found.code, **changed}, {**found.values, "k": k})


def _repeated(rng: Random, words: Words) -> Inputs:
    return _wholes(rng, words, repeated=True)


def _one(rng: Random, n: int, *, largest_word: int = 20) -> Inputs:
    typed = str(n)
    if n <= largest_word and rng.random() < 0.16:
        typed = in_words(rng, n)
    elif n >= 1000 and rng.random() < 0.12:
        typed = f"{n:,}"
    nth = f"{n}{_suffix(n)}" if n > len(_ORDINALS) or rng.random() < 0.75 else _ORDINALS[n - 1]
    return Inputs({"n": typed, "nth": nth}, {"n": str(n)}, {"n": n})


def _count(rng: Random, words: Words) -> Inputs:
    chance = rng.random()
    if chance < 0.04:
        return _one(rng, rng.choice((32, 40, 50)))
    return _one(rng, rng.randint(2, 20) if chance < 0.8 else rng.choice((5, 10, 10, 12, 15, 16, 20, 21, 25, 30)))


def _limit(rng: Random, words: Words) -> Inputs:
    return _one(rng, rng.choice((rng.randint(5, 130), rng.randint(2, 15) * 10, 20, 30, 50, 100)))


def _large(rng: Random, words: Words) -> Inputs:
    low, high = rng.choice(((2, 99), (2, 99), (10, 999), (100, 9999)))
    return _one(rng, rng.choice((rng.randint(low, high), rng.randint(low, high), 10, 50, 100, 1000)))


def _pair(rng: Random, words: Words) -> Inputs:
    common = rng.randint(1, 20)
    k, m = common * rng.randint(2, 20), common * rng.randint(2, 20)
    return _several(k=k, m=m)


def _table(rng: Random, words: Words) -> Inputs:
    return _several(k=rng.choice((rng.randint(2, 12), rng.randint(2, 25))), n=rng.choice((5, 8, 10, 12, 12, 15, 20)))


def _span(rng: Random, words: Words) -> Inputs:
    k = rng.choice((0, 1, 1, 1, rng.randint(2, 50)))
    m = k + rng.choice((rng.randint(2, 12), 9, 10, 19, 24))
    return _several(k=k, m=m, drawn=rng.randint(k, m))


def _upper_span(rng: Random, words: Words) -> Inputs:
    k = rng.choice((2, 10, 10, 20, 50, 100, rng.randint(2, 90)))
    return _several(k=k, m=k + rng.choice((10, 20, 30, 40, 50, rng.randint(5, 60))))


def _several(**values: int) -> Inputs:
    texts = {name: str(value) for name, value in values.items()}
    return Inputs(texts, texts, values)


def _bits(rng: Random, words: Words) -> Inputs:
    bits = f"{rng.randint(2, 255):b}"
    return Inputs({"t": bits}, {"t": bits}, {"t": bits})


def _year(rng: Random, words: Words) -> Inputs:
    year = rng.choice((rng.randint(1800, 2100), rng.randint(1990, 2032), 1900, 2000, 2024))
    return Inputs({"n": str(year)}, {"n": str(year)}, {"n": year})


def _day(rng: Random) -> str:
    return (datetime.date(1990, 1, 1) + datetime.timedelta(days=rng.randrange(16_000))).isoformat()


def _dates(rng: Random, words: Words) -> Inputs:
    first, last = sorted((_day(rng), _day(rng)))
    texts = {"c": first, "d": last}
    return Inputs(texts, texts, texts)


def _later(rng: Random, words: Words) -> Inputs:
    day, n = _day(rng), rng.choice((7, 10, 14, 30, 45, 60, 90, 100, rng.randint(2, 400)))
    texts = {"d": day, "n": str(n)}
    return Inputs(texts, texts, {"d": day, "n": n})


def _text_of(rng: Random, words: Words) -> str:
    chance = rng.random()
    if chance < 0.12:
        return _usual(rng, "text")
    if chance < 0.5:
        word = words.any(rng)
        return word.capitalize() if chance < 0.2 else word
    if chance < 0.6:
        return words.name(rng)
    text = words.phrase(rng, shortest=2, longest=rng.choice((3, 5, 8)))
    if chance < 0.75:
        text = f"{words.common(rng)} {words.common(rng)} {text} {words.common(rng)}"
    return text[0].upper() + text[1:] if chance < 0.7 else text


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
        return _with_text(_usual(rng, "palindrome"))
    word = words.any(rng)
    if chance < 0.5:
        word += word[::-1] if chance < 0.4 else word[-2::-1]
    return _with_text(word)


def _short(rng: Random, words: Words) -> Inputs:
    return _with_text(words.any(rng) if rng.random() < 0.8 else _usual(rng, "palindrome"))


def _anagram(rng: Random, words: Words) -> Inputs:
    first = words.any(rng)
    second = "".join(rng.sample(first, len(first))) if rng.random() < 0.5 else words.any(rng)
    code = {"c": first, "d": second}
    quoted = rng.random() < 0.3
    return Inputs({name: f'"{text}"' if quoted else text for name, text in code.items()}, code, code)


def _xy(rng: Random, words: Words) -> Inputs:
    count, high = rng.randint(2, 6), rng.choice((9, 20, 100))
    start = rng.choice((0, 1, 1, rng.randint(2, 20)))
    xs = [start + i for i in range(count)] if rng.random() < 0.5 else [rng.randint(0, high) for _ in range(count)]
    ys = [rng.randint(0, high) for _ in range(count)]
    code = {"xs": str(xs), "ys": str(ys)}
    if rng.random() < 0.4:
        return Inputs(code, code, {})
    return Inputs({name: text[1:-1] for name, text in code.items()}, code, {})


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
    return Inputs({"ls": shown}, {"ls": _strings(items)}, {"ls": items})


def _strings(items: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{item}"' for item in items) + "]"


def _csv(rng: Random, words: Words) -> Inputs:
    stem = _usual(rng, "file") if rng.random() < 0.5 else words.any(rng)
    if rng.random() < 0.25:
        stem = rng.choice(
            (f"{stem}_{rng.randint(1, 2030)}", f"{stem}-{words.any(rng)}", f"data/{stem}", stem.capitalize())
        )
    column = _usual(rng, "column") if rng.random() < 0.5 else words.any(rng)
    if rng.random() < 0.25:
        column = rng.choice((column.capitalize(), f"{column}_{words.any(rng)}", column.upper()))
    shown = rng.choice((column, column, column, f'"{column}"', f"'{column}'"))
    n = rng.randint(2, 5)
    cell = str(round(rng.uniform(1, 5000), rng.choice((1, 2)))) if rng.random() < 0.7 else f"{rng.randint(1, 9000)}.0"
    names = [column.lower(), _usual(rng, "column") + "s"]
    values = {"cell": float(cell), "names": names, "n": n, "rows": [_row(rng, words, names) for _ in range(n)]}
    texts = {"f": f"{stem}.csv", "n": str(n)}
    return Inputs({**texts, "c": shown}, {**texts, "c": column}, values)


def _row(rng: Random, words: Words, names: Sequence[str]) -> dict[str, str]:
    return {names[0]: words.any(rng), names[1]: str(rng.randint(1, 999))}


def _labelled(rng: Random, words: Words) -> Inputs:
    labels = [_usual(rng, "label") if rng.random() < 0.4 else words.any(rng) for _ in range(rng.randint(2, 5))]
    labels = list(dict.fromkeys(labels))
    high = rng.choice((9, 20, 100, 900))
    counts = [str(rng.randint(1, high)) for _ in labels]
    pattern = rng.choice(("{0} {1}", "{0} {1}", "{0}: {1}", "{0}={1}", "{0} ({1})", "{1} {0}", "{0} with {1}"))
    pairs = [pattern.format(label, count) for label, count in zip(labels, counts, strict=True)]
    shown = ", ".join(pairs) if rng.random() < 0.6 or len(pairs) < 2 else f"{', '.join(pairs[:-1])} and {pairs[-1]}"
    return Inputs({"pairs": shown}, {"ls": _strings(labels), "xs": f"[{', '.join(counts)}]"}, {})


def _nothing(rng: Random, words: Words) -> Inputs:
    return Inputs({}, {}, {"drawn": rng.randint(0, 5)})


def _usual(rng: Random, section: str) -> str:
    return phrases("code_inputs").say(rng, section)


def _suffix(n: int) -> str:
    return "th" if 10 < n % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


_MAKERS: Mapping[str, Callable[[Random, Words], Inputs]] = {
    "numbers": _numbers,
    "few": _few,
    "upper_span": _upper_span,
    "short": _short,
    "xy": _xy,
    "anagram": _anagram,
    "series": _numbers,
    "wholes": _wholes,
    "repeated": _repeated,
    "count": _count,
    "limit": _limit,
    "large": _large,
    "pair": _pair,
    "table": _table,
    "span": _span,
    "bits": _bits,
    "year": _year,
    "dates": _dates,
    "date": _dates,
    "later": _later,
    "text": _text,
    "sentence": _sentence,
    "word": _word,
    "letter": _letter,
    "swap": _swap,
    "repeat": _repeat,
    "words": _words,
    "column": _csv,
    "file": _csv,
    "rows": _csv,
    "labelled": _labelled,
    "nothing": _nothing,
}
