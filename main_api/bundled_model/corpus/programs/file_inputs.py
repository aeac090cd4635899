"""Files, dates and labelled numbers that a program is about."""

import datetime
from collections.abc import Mapping, Sequence
from random import Random

from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.programs.inputs import Inputs, Maker, as_list, usual


def _day(rng: Random) -> str:
    return (datetime.date(1990, 1, 1) + datetime.timedelta(days=rng.randrange(16_000))).isoformat()


def _dates(rng: Random, _: Words) -> Inputs:
    first, last = sorted((_day(rng), _day(rng)))
    texts = {"c": first, "d": last}
    return Inputs(texts, texts, texts)


def _later(rng: Random, _: Words) -> Inputs:
    day, n = _day(rng), rng.choice((7, 10, 14, 30, 45, 60, 90, 100, rng.randint(2, 400)))
    texts = {"d": day, "n": str(n)}
    return Inputs(texts, texts, {"d": day, "n": n})


def _csv(rng: Random, words: Words) -> Inputs:
    stem = usual(rng, "file") if rng.random() < 0.5 else words.any(rng)
    if rng.random() < 0.25:
        stem = rng.choice(
            (f"{stem}_{rng.randint(1, 2030)}", f"{stem}-{words.any(rng)}", f"data/{stem}", stem.capitalize())
        )
    column = usual(rng, "column") if rng.random() < 0.5 else words.any(rng)
    if rng.random() < 0.25:
        column = rng.choice((column.capitalize(), f"{column}_{words.any(rng)}", column.upper()))
    shown = rng.choice((column, column, column, f'"{column}"', f"'{column}'"))
    n = rng.randint(2, 5)
    cell = str(round(rng.uniform(1, 5000), rng.choice((1, 2)))) if rng.random() < 0.7 else f"{rng.randint(1, 9000)}.0"
    names = [column.lower(), usual(rng, "column") + "s"]
    values = {"cell": float(cell), "names": names, "n": n, "rows": [_row(rng, words, names) for _ in range(n)]}
    texts = {"f": f"{stem}.csv", "n": str(n)}
    return Inputs({**texts, "c": shown}, {**texts, "c": column}, values)


def _row(rng: Random, words: Words, names: Sequence[str]) -> dict[str, str]:
    return {names[0]: words.any(rng), names[1]: str(rng.randint(1, 999))}


def _labelled(rng: Random, words: Words) -> Inputs:
    labels = [usual(rng, "label") if rng.random() < 0.4 else words.any(rng) for _ in range(rng.randint(2, 5))]
    labels = list(dict.fromkeys(labels))
    high = rng.choice((9, 20, 100, 900))
    counts = [str(rng.randint(1, high)) for _ in labels]
    pattern = rng.choice(("{0} {1}", "{0} {1}", "{0}: {1}", "{0}={1}", "{0} ({1})", "{1} {0}", "{0} with {1}"))
    pairs = [pattern.format(label, count) for label, count in zip(labels, counts, strict=True)]
    shown = ", ".join(pairs) if rng.random() < 0.6 or len(pairs) < 2 else f"{', '.join(pairs[:-1])} and {pairs[-1]}"
    return Inputs({"pairs": shown}, {"ls": as_list(labels), "xs": f"[{', '.join(counts)}]"}, {})


FILE_INPUTS: Mapping[str, Maker] = {
    "column": _csv,
    "file": _csv,
    "rows": _csv,
    "labelled": _labelled,
    "dates": _dates,
    "date": _dates,
    "later": _later,
}
