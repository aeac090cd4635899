"""Dates, times and durations as people write them, for the arguments of special tools."""

import calendar
from random import Random

from main_api.bundled_model.corpus.language.numbers import UNITS, ordinal_ending
from main_api.bundled_model.corpus.language.words import Words


def date(rng: Random, _: Words) -> str:
    """Return a date that can stand after "on"."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1960, 2031)
    name, ordinal = calendar.month_name[month], f"{day}{ordinal_ending(str(day))}"
    return rng.choice(
        (
            f"{year}-{month:02}-{day:02}",
            f"{day} {name}",
            f"{name} {day}",
            f"{day} {name} {year}",
            f"{name} {day}, {year}",
            f"{day:02}/{month:02}/{year}",
            f"{day}.{month}.{year}",
            f"{day} {name[:3]}",
            f"{name} {ordinal}",
            f"the {ordinal} of {name}",
            weekday(rng),
        )
    )


def day(rng: Random, words: Words) -> str:
    """Return a day as it stands without a preposition, or a date."""
    if rng.random() < 0.3:
        return date(rng, words)
    name = weekday(rng)
    part = rng.choice(("morning", "afternoon", "evening", "night"))
    near = ("today", "tomorrow", "tonight", "this weekend", "next week", "next month", "the day after tomorrow")
    far = (name, f"next {name}", f"this {name}", f"{name} {part}", f"tomorrow {part}", f"this {part}")
    return rng.choice(near if rng.random() < 0.5 else far)


def moment(rng: Random, words: Words) -> str:
    """Return a day and a time, as they stand at the end of a sentence without a preposition."""
    name = weekday(rng)
    first = rng.choice(("tomorrow", "tomorrow", "today", name, f"next {name}", "tonight"))
    part = rng.choice(("morning", "afternoon", "evening"))
    at = f"{first} at {time(rng, words)}"
    return rng.choice((at, at, f"tomorrow {part}", f"{name} {part}", first))


def time(rng: Random, _: Words) -> str:
    """Return a time of the day that can stand after "at"."""
    hour, minute = rng.randint(1, 12), rng.choice((0, 15, 30, 45, rng.randint(1, 59)))
    half = rng.choice(("am", "pm", "a.m", "p.m") if rng.random() < 0.1 else ("am", "pm"))
    if rng.random() < 0.2:
        word = UNITS[hour]
        odd = (
            f"{word} o'clock",
            f"quarter to {word}",
            f"quarter past {word}",
            f"{hour}.{minute:02}",
            "midnight",
            "noon",
        )
        return rng.choice((*odd, f"half past {word}", f"{hour} in the {rng.choice(('morning', 'evening'))}"))
    clock = (f"{hour}:{minute:02}", f"{hour + 11}:{minute:02}", f"{hour:02}:{minute:02}", f"{hour}:00")
    return rng.choice((f"{hour} {half}", f"{hour}{half}", f"{hour}:{minute:02} {half}", f"{hour} o'clock", *clock))


def duration(rng: Random, _: Words) -> str:
    """Return a number of minutes, hours..."""
    unit = rng.choice(("minutes", "minutes", "minutes", "seconds", "hours", "days", "min"))
    if rng.random() < 0.2:
        return rng.choice(
            ("1 hour", "an hour", "half an hour", "a minute", "an hour and a half", "a quarter of an hour")
        )
    return f"{UNITS[rng.randint(2, 12)] if rng.random() < 0.12 else rng.randint(2, 90)} {unit}"


def weekday(rng: Random) -> str:
    """Return the name of a day of the week."""
    return calendar.day_name[rng.randrange(7)]
