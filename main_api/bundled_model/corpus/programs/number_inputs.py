"""Numbers that a program is about: lists of them, one, two, a span."""

from collections.abc import Mapping
from random import Random
from typing import Any

from main_api.bundled_model.corpus.language.numbers import in_words, ordinal_ending
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.programs.inputs import Inputs, Maker, listed

_UNITS_SHARE = 0.05
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    "twelfth",
)


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


def _few(rng: Random, words: Words) -> Inputs:
    return _numbers(rng, words, least=2)


def _numbers(rng: Random, _: Words, *, whole: bool = False, repeated: bool = False, least: int = 3) -> Inputs:
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
    nth = f"{n}{ordinal_ending(str(n))}" if n > len(_ORDINALS) or rng.random() < 0.75 else _ORDINALS[n - 1]
    return Inputs({"n": typed, "nth": nth}, {"n": str(n)}, {"n": n})


def _count(rng: Random, _: Words) -> Inputs:
    chance = rng.random()
    if chance < 0.04:
        return _one(rng, rng.choice((32, 40, 50)))
    return _one(rng, rng.randint(2, 20) if chance < 0.8 else rng.choice((5, 10, 10, 12, 15, 16, 20, 21, 25, 30)))


def _limit(rng: Random, _: Words) -> Inputs:
    return _one(rng, rng.choice((rng.randint(5, 130), rng.randint(2, 15) * 10, 20, 30, 50, 100)))


def _large(rng: Random, _: Words) -> Inputs:
    low, high = rng.choice(((2, 99), (2, 99), (10, 999), (100, 9999)))
    return _one(rng, rng.choice((rng.randint(low, high), rng.randint(low, high), 10, 50, 100, 1000)))


def _pair(rng: Random, _: Words) -> Inputs:
    common = rng.randint(1, 20)
    k, m = common * rng.randint(2, 20), common * rng.randint(2, 20)
    return _several(k=k, m=m)


def _table(rng: Random, _: Words) -> Inputs:
    return _several(k=rng.choice((rng.randint(2, 12), rng.randint(2, 25))), n=rng.choice((5, 8, 10, 12, 12, 15, 20)))


def _span(rng: Random, _: Words) -> Inputs:
    k = rng.choice((0, 1, 1, 1, rng.randint(2, 50)))
    m = k + rng.choice((rng.randint(2, 12), 9, 10, 19, 24))
    return _several(k=k, m=m, drawn=rng.randint(k, m))


def _upper_span(rng: Random, _: Words) -> Inputs:
    k = rng.choice((2, 10, 10, 20, 50, 100, rng.randint(2, 90)))
    return _several(k=k, m=k + rng.choice((10, 20, 30, 40, 50, rng.randint(5, 60))))


def _several(**values: int) -> Inputs:
    texts = {name: str(value) for name, value in values.items()}
    return Inputs(texts, texts, values)


def _bits(rng: Random, _: Words) -> Inputs:
    bits = f"{rng.randint(2, 255):b}"
    return Inputs({"t": bits}, {"t": bits}, {"t": bits})


def _year(rng: Random, _: Words) -> Inputs:
    year = rng.choice((rng.randint(1800, 2100), rng.randint(1990, 2032), 1900, 2000, 2024))
    return Inputs({"n": str(year)}, {"n": str(year)}, {"n": year})


def _xy(rng: Random, _: Words) -> Inputs:
    count, high = rng.randint(2, 6), rng.choice((9, 20, 100))
    start = rng.choice((0, 1, 1, rng.randint(2, 20)))
    xs = [start + i for i in range(count)] if rng.random() < 0.5 else [rng.randint(0, high) for _ in range(count)]
    ys = [rng.randint(0, high) for _ in range(count)]
    code = {"xs": str(xs), "ys": str(ys)}
    if rng.random() < 0.4:
        return Inputs(code, code, {})
    return Inputs({name: text[1:-1] for name, text in code.items()}, code, {})


def _nothing(rng: Random, _: Words) -> Inputs:
    return Inputs({}, {}, {"drawn": rng.randint(0, 5)})


NUMBER_INPUTS: Mapping[str, Maker] = {
    "numbers": _numbers,
    "series": _numbers,
    "few": _few,
    "wholes": _wholes,
    "repeated": _repeated,
    "xy": _xy,
    "count": _count,
    "limit": _limit,
    "large": _large,
    "pair": _pair,
    "table": _table,
    "span": _span,
    "upper_span": _upper_span,
    "bits": _bits,
    "year": _year,
    "nothing": _nothing,
}
