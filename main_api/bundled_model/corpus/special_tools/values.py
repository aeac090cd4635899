"""Values for the arguments of special tools: real-sounding ones mixed with names and words that do not exist."""

from collections.abc import Callable, Mapping
from random import Random

from main_api.bundled_model.corpus.language.numbers import UNITS
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.special_tools.moments import date, day, duration, moment, time

_Maker = Callable[[Random, Words], str]
_MADE_UP = 0.3
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_ENDINGS = ("com", "org", "net", "io", "de", "co.uk", "example.com", "dev", "eu")
_CALLING = (1, 7, 30, 31, 33, 34, 39, 41, 44, 46, 49, 81, 91)
_IN_WORDS = 0.12
_LARGEST_IN_WORDS = 12
_FREE_TEXT = ("message", "note", "topic", "title", "sentence", "sql")


def value(rng: Random, words: Words, kind: str) -> str:
    """Return a value: `kind` is `1..9`, `a|b|c`, one of the kinds made here, or a section of `special_values.txt`."""
    if "|" in kind:
        return rng.choice(kind.split("|"))
    if ".." in kind:
        low, _, high = kind.partition("..")
        number = rng.randint(int(low), int(high))
        in_words = 2 <= number <= _LARGEST_IN_WORDS and rng.random() < _IN_WORDS
        return UNITS[number] if in_words else str(number)
    maker = _MAKERS.get(kind)
    if maker:
        return maker(rng, words)
    if kind in _FREE_TEXT:
        return _text(rng, words, kind)
    if rng.random() < _MADE_UP:
        return words.name(rng) if kind in _PROPER else words.phrase(rng, longest=2)
    return phrases("special_values").say(rng, kind)


def is_free_text(kind: str) -> bool:
    """Whether values of this kind are sentences, whose end cannot be told from what they consist of."""
    return kind in _FREE_TEXT


def fills(rng: Random, words: Words) -> Mapping[str, str]:
    """Return values for the slots of observations that are no arguments."""
    return {
        "n": str(rng.randint(2, 99)),
        "m": str(rng.randint(100, 99_999)),
        "d": f"{rng.randint(0, 99)}.{rng.randint(1, 99)}",
        "when": date(rng, words),
        "time": time(rng, words),
        "code": _code(rng, words),
        "who": words.name(rng),
        "word": words.any(rng),
        "other": words.any(rng),
    }


_PROPER = (
    *("city", "country", "place", "person", "company", "product", "song", "artist", "film", "team", "book", "shop"),
    *("hotel", "museum", "airport", "station", "language", "game", "model", "playlist", "meetingroom", "planet"),
    "medicine",
)


def _text(rng: Random, words: Words, kind: str) -> str:
    if kind != "sql" and rng.random() < 0.33:
        return words.phrase(rng, shortest=2, longest=rng.choice((3, 5, 10)))
    return phrases("special_values").say(
        rng,
        kind,
        word=words.any(rng),
        other=words.any(rng),
        name=words.name(rng),
        first=phrases("special_values").say(rng, "first"),
        n=str(rng.randint(2, 60)),
        time=time(rng, words),
    )


def _person(rng: Random, words: Words) -> str:
    book = phrases("special_values")
    roll = rng.random()
    if roll < 0.4:
        return book.say(rng, "first")
    if roll < 0.65:
        return f"{book.say(rng, 'first')} {book.say(rng, 'last')}"
    if roll < 0.8:
        return f"{book.say(rng, 'first')} {words.rare(rng).capitalize()}"
    if roll < 0.9:
        return f"{rng.choice(('Dr', 'Mr', 'Ms', 'Mrs', 'Prof.'))} {book.say(rng, 'last')}"
    if roll < 0.95:
        return rng.choice(("Mum", "Dad", "Mom", "Grandma", "Grandpa", f"Aunt {book.say(rng, 'first')}"))
    return words.invented(rng).capitalize()


def _email(rng: Random, words: Words) -> str:
    first = phrases("special_values").say(rng, "first").lower()
    user = rng.choice(
        (
            first,
            f"{first}.{words.rare(rng)}",
            words.any(rng),
            f"{first}{rng.randint(1, 99)}",
            f"{words.rare(rng)}-{first}",
        )
    )
    return f"{user}@{_domain(rng, words)}"


def _domain(rng: Random, words: Words) -> str:
    name = rng.choice((words.rare, words.invented))(rng)
    prefix = rng.choices(("", "www.", f"{words.common(rng)}-", "api.", "mail."), (8, 2, 2, 1, 1))[0]
    return f"{prefix}{name}.{rng.choice(_ENDINGS)}"


def _url(rng: Random, words: Words) -> str:
    tail = rng.choice(
        (
            "",
            f"/{words.any(rng)}",
            f"/{words.common(rng)}/{words.rare(rng)}",
            f"/{words.rare(rng)}?id={rng.randint(1, 999)}",
        )
    )
    return f"{rng.choice(('https', 'https', 'http'))}://{_domain(rng, words)}{tail}"


def _ip(rng: Random, _: Words) -> str:
    return ".".join(str(rng.randint(1, 254)) for _ in range(4))


def _phone(rng: Random, _: Words) -> str:
    return rng.choice(
        (
            f"+{rng.choice(_CALLING)} {rng.randint(100, 999)} {rng.randint(100_000, 9_999_999)}",
            f"0{rng.randint(20, 999)} {rng.randint(10_000, 999_999)}",
            f"{rng.randint(200, 999)}-{rng.randint(100, 999)}-{rng.randint(1000, 9999)}",
            f"+{rng.choice(_CALLING)}{rng.randint(10**8, 10**10)}",
        )
    )


def _code(rng: Random, _: Words) -> str:
    letters = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(1, 4)))
    digits = str(rng.randint(10, 99_999))
    return rng.choice(
        (
            f"{letters}-{digits}",
            f"{letters}{digits}",
            f"{letters}-{rng.randint(2019, 2030)}-{digits}",
            digits,
            f"{letters}-{digits}-{rng.choice(_LETTERS)}",
            f"{rng.randint(1, 9)}{letters}{digits}",
            f"{letters.lower()}_{digits}",
            f"{letters}/{digits}",
        )
    )


def _identifier(rng: Random, words: Words) -> str:
    parts = [words.any(rng) for _ in range(rng.randint(1, 3))]
    return rng.choice(("-", "_", "-")).join(parts)


def _flight(rng: Random, _: Words) -> str:
    return f"{''.join(rng.choice(_LETTERS) for _ in range(2))}{rng.choice(('', '', ' '))}{rng.randint(10, 9999)}"


def _ticker(rng: Random, words: Words) -> str:
    if rng.random() < 0.4:
        return phrases("special_values").say(rng, "ticker")
    return "".join(rng.choice(_LETTERS) for _ in range(rng.randint(2, 5))) if rng.random() < 0.6 else words.name(rng)


def _file(rng: Random, words: Words) -> str:
    ending = rng.choice(
        ("pdf", "docx", "txt", "csv", "png", "jpg", "xlsx", "md", "mp3", "mp4", "zip", "json", "wav", "pptx")
    )
    tail = rng.choice(("", "", f"_{rng.randint(1, 30)}", f"-{rng.randint(2020, 2030)}"))
    return f"{_identifier(rng, words)}{tail}.{ending}"


def _repository(rng: Random, words: Words) -> str:
    return _identifier(rng, words) if rng.random() < 0.5 else f"{words.any(rng)}/{_identifier(rng, words)}"


def _money(rng: Random, _: Words) -> str:
    return rng.choice(
        (
            str(rng.randint(1, 999)),
            f"{rng.randint(1, 999)}.{rng.randint(0, 99):02}",
            str(rng.randint(1, 99) * 50),
            f"{rng.randint(1, 99)},{rng.randint(0, 999):03}",
        )
    )


def _colour(rng: Random, _: Words) -> str:
    return rng.choice(
        (f"#{rng.randrange(1 << 24):06x}", f"#{rng.randrange(1 << 24):06X}", phrases("special_values").say(rng, "hue"))
    )


def _host(rng: Random, words: Words) -> str:
    return rng.choice(
        (
            f"{words.common(rng)}-{rng.randint(1, 20)}",
            f"{words.any(rng)}-{words.common(rng)}-{rng.randint(1, 9):02}",
            _identifier(rng, words),
            _domain(rng, words),
        )
    )


def _coordinate(rng: Random, _: Words) -> str:
    return f"{rng.choice(('', '-'))}{rng.randint(0, 89)}.{rng.randint(0, 9999)}"


def _version(rng: Random, _: Words) -> str:
    return rng.choice(("v", "", "")) + ".".join(str(rng.randint(0, 20)) for _ in range(rng.choice((2, 3, 3))))


_MAKERS: Mapping[str, _Maker] = {
    "person": _person,
    "date": date,
    "day": day,
    "moment": moment,
    "time": time,
    "duration": duration,
    "email": _email,
    "domain": _domain,
    "url": _url,
    "ip": _ip,
    "phone": _phone,
    "code": _code,
    "identifier": _identifier,
    "flight": _flight,
    "ticker": _ticker,
    "file": _file,
    "repository": _repository,
    "money": _money,
    "colour": _colour,
    "host": _host,
    "coordinate": _coordinate,
    "version": _version,
    "number": lambda rng, words: words.number(rng),
    "name": lambda rng, words: words.name(rng),
    "word": lambda rng, words: words.any(rng),
    "words": lambda rng, words: words.phrase(rng, shortest=2, longest=4),
}
