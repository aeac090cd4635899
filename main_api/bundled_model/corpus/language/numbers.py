"""Numbers in words, and the endings of ordinals."""

from random import Random

UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def in_words(rng: Random, number: int) -> str:
    """Return a number below 1000 in words."""
    if number >= 100:
        rest = number % 100
        hundreds = f"{'a' if number < 200 and rng.random() < 0.6 else UNITS[number // 100]} hundred"
        return f"{hundreds} and {in_words(rng, rest)}" if rest else hundreds
    if number < 20:
        return UNITS[number]
    tens = _TENS[number // 10 - 2]
    return f"{tens}{'-' if rng.random() < 0.6 else ' '}{UNITS[number % 10]}" if number % 10 else tens


def ordinal_ending(number: str) -> str:
    """Return what follows a number in digits, or one that ends with digits: "st", "nd", "rd" or "th"."""
    return "th" if number[-2:-1] == "1" else {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
