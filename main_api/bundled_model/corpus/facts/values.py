"""Values for the slots of facts: amounts, dates, durations, names of people and places.

A slot is named after its value (`{year}`, `{person}`); digits at the end tell two of the same kind apart (`{person2}`).
What is not made by a function here is a section of `phrases/facts/values.txt`.
"""

from calendar import month_name
from collections.abc import Callable, Mapping
from random import Random

from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import capital
from main_api.bundled_model.corpus.language.words import Words

_MONTHS = month_name[1:]


def value(rng: Random, words: Words, slot: str) -> str:
    """Return a value for the slot."""
    name = slot.rstrip("0123456789")
    made = _MADE.get(name)
    return made(rng, words) if made else phrases("facts/values").say(rng, name, **_words(rng, words))


def _words(rng: Random, words: Words) -> dict[str, str]:
    return {"name": words.name(rng), "thing": words.rare(rng), "plural": _plural(rng, words)}


def _small(rng: Random, _: Words) -> str:
    return phrases("facts/values").say(rng, "number") if rng.random() < 0.4 else str(rng.randint(2, 60))


def _few(rng: Random, _: Words) -> str:
    return phrases("facts/values").say(rng, "small number") if rng.random() < 0.5 else str(rng.randint(2, 12))


def _count(rng: Random, _: Words) -> str:
    number = rng.randint(12, 10 ** rng.choices((2, 3, 4, 5, 6), (2, 4, 4, 2, 1))[0] + 20)
    return f"{number:,}" if rng.random() < 0.7 else str(number)


def _year(rng: Random, _: Words) -> str:
    return str(rng.randint(1870, 2026) if rng.random() < 0.75 else rng.randint(1050, 1900))


def _recent_year(rng: Random, _: Words) -> str:
    return str(rng.randint(1995, 2031))


def _date(rng: Random, _: Words) -> str:
    day, month, year = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1890, 2031)
    forms = (f"{day} {month} {year}", f"{day} {month}", f"{month} {day}, {year}", f"{month} {day}", f"{month} {year}")
    return rng.choices(forms, (4, 3, 2, 2, 0))[0]


def _full_date(rng: Random, _: Words) -> str:
    day, month, year = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1890, 2031)
    return rng.choice((f"{day} {month} {year}", f"{month} {day}, {year}"))


def _time(rng: Random, _: Words) -> str:
    hour, minute = rng.randint(6, 22), rng.choice(("00", "00", "15", "30", "45"))
    short = f"{(hour - 1) % 12 + 1}{'' if minute == '00' else ':' + minute} {'a.m.' if hour < 12 else 'p.m.'}"
    return rng.choice((f"{hour}:{minute}", f"{hour}:{minute}", short, f"{(hour - 1) % 12 + 1} o'clock"))


def _money(rng: Random, number: str) -> str:
    form = rng.choice(("{} euros", "€{}", "${}", "{} EUR", "£{}", "{} pounds", "{} dollars", "{} francs", "{} kronor"))
    return form.format(number)


def _amount(rng: Random, _: Words) -> str:
    number = rng.choice(
        (rng.randint(2, 99), rng.randint(10, 99) * 10, rng.randint(2, 60) * 25, rng.randint(1, 90) * 100)
    )
    return _money(rng, f"{number:,}" if rng.random() < 0.85 else f"{number}.{rng.choice((50, 80, 95, 99))}")


def _millions(rng: Random, _: Words) -> str:
    number = f"{rng.randint(1, 950)}" if rng.random() < 0.6 else f"{rng.randint(1, 90)}.{rng.randint(1, 9)}"
    return _money(rng, f"{number} {rng.choice(('million', 'million', 'billion'))}").replace(
        "million EUR", "million euros"
    )


def _percent(rng: Random, _: Words) -> str:
    number = str(rng.randint(1, 99)) if rng.random() < 0.8 else f"{rng.randint(0, 30)}.{rng.randint(1, 9)}"
    return f"{number}{rng.choice(('%', ' %', ' percent', ' per cent'))}"


def _of(*units: str) -> Callable[[Random, Words], str]:
    return lambda rng, words: f"{_few(rng, words) if rng.random() < 0.6 else _small(rng, words)} {rng.choice(units)}"


def _measure(low: int, high: int, *units: str) -> Callable[[Random, Words], str]:
    def made(rng: Random, _: Words) -> str:
        number = rng.randint(low, high)
        text = f"{number:,}" if rng.random() < 0.75 else f"{number}.{rng.randint(1, 9)}"
        return f"{text} {rng.choice(units)}"

    return made


def _person(rng: Random, words: Words) -> str:
    book = phrases("facts/values")
    first = book.say(rng, "first name")
    last = (
        book.say(rng, "last name")
        if rng.random() < 0.4
        else (words.rare if rng.random() < 0.5 else words.invented)(rng)
    )
    title = rng.choice(("Dr ", "Ms ", "Mr ", "Professor ")) if rng.random() < 0.08 else ""
    return f"{title}{first} {capital(last)}"


def _place(rng: Random, words: Words) -> str:
    return phrases("facts/values").say(rng, "city") if rng.random() < 0.4 else words.name(rng)


def _plural(rng: Random, words: Words) -> str:
    word = words.rare(rng)
    return word if word.endswith("s") else f"{word}s"


def _code(rng: Random, _: Words) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTUVWXZ") for _ in range(rng.randint(1, 3)))
    digits = str(rng.randint(2, 9999))
    return rng.choice((f"{letters}-{digits}", f"{letters}{digits}", f"{digits}-{letters}", f"{letters} {digits}"))


def _email(rng: Random, words: Words) -> str:
    return f"{words.any(rng)}@{words.any(rng)}.{rng.choice(('com', 'org', 'net', 'eu', 'example'))}"


def _number(rng: Random, words: Words) -> str:
    return words.number(rng)


def _phone(rng: Random, _: Words) -> str:
    return rng.choice((f"{rng.randint(100, 9999)}", f"0{rng.randint(10, 99)} {rng.randint(1000, 99999)}"))


_MADE: Mapping[str, Callable[[Random, Words], str]] = {
    "name": lambda rng, words: words.name(rng),
    "thing": lambda rng, words: words.rare(rng),
    "things": _plural,
    "word": lambda rng, words: words.any(rng),
    "phrase": lambda rng, words: words.phrase(rng, shortest=2, longest=4),
    "invented": lambda rng, words: words.invented(rng).capitalize(),
    "person": _person,
    "place": _place,
    "code": _code,
    "email": _email,
    "number": _number,
    "phone": _phone,
    "small": _small,
    "few": _few,
    "count": _count,
    "year": _year,
    "recent": _recent_year,
    "date": _date,
    "fulldate": _full_date,
    "month": lambda rng, _: rng.choice(_MONTHS),
    "time": _time,
    "amount": _amount,
    "millions": _millions,
    "percent": _percent,
    "days": _of("days", "days", "working days", "calendar days"),
    "weeks": _of("weeks", "days", "weeks", "months"),
    "months": _of("months", "months", "weeks", "years"),
    "years": _of("years"),
    "hours": _of("hours"),
    "minutes": _of("minutes"),
    "seconds": _of("seconds"),
    "length": _measure(12, 4000, "metres", "meters", "m", "feet", "kilometres"),
    "distance": _measure(2, 900, "kilometres", "km", "miles", "kilometers"),
    "height": _measure(8, 900, "metres", "meters", "m", "feet"),
    "size": _measure(2, 300, "centimetres", "cm", "millimetres", "inches"),
    "weight": _measure(2, 900, "kilograms", "kg", "tonnes", "grams", "pounds"),
    "area": _measure(20, 90000, "square kilometres", "square miles", "hectares", "square metres"),
    "speed": _measure(10, 600, "km/h", "kilometres per hour", "miles per hour", "knots"),
    "temperature": _measure(-40, 1500, "degrees", "°C", "degrees Celsius", "°F"),
    "volume": _measure(2, 900, "litres", "liters", "millilitres", "gallons", "cubic metres"),
    "power": _measure(2, 900, "watts", "kilowatts", "kW", "megawatts", "horsepower"),
    "memory": _measure(2, 900, "gigabytes", "GB", "MB", "terabytes"),
}
