"""A tool of the book as it is offered: under one of its names and descriptions, with names for its arguments.

A made-up tool is a pattern of a `generic` file with words in it that are listed, rare or invented.
"""

from collections.abc import Mapping, Sequence
from random import Random

from main_api.bundled_model.corpus.ask import Tool
from main_api.bundled_model.corpus.language.phrases import phrases
from main_api.bundled_model.corpus.language.wording import capital, small
from main_api.bundled_model.corpus.language.words import Words
from main_api.bundled_model.corpus.special_tools.book import Argument, Spec

_ARTICLE_VOWELS = tuple("aeiou")


def rendered(rng: Random, spec: Spec, nouns: Mapping[str, str]) -> tuple[Tool, Sequence[Argument]]:
    """Return the tool under one of its names, and its arguments in the order that it has them."""
    snake = spec.phrases.say(rng, "name", **nouns).replace(" ", "_").replace("-", "_").lower()
    style = rng.choices(("snake", "camel", "pascal", "kebab", "dotted"), (56, 18, 5, 10, 11))[0]
    arguments = list(spec.arguments)
    if len(arguments) > 1 and rng.random() < 0.15:
        rng.shuffle(arguments)
    naming = "camel" if style == "camel" else "snake"
    names = tuple(_styled(_named(rng.choice(argument.names), nouns), naming) for argument in arguments)
    return Tool(_styled(snake, style), names, _described(rng, spec, nouns)), arguments


def _named(argument: str, nouns: Mapping[str, str]) -> str:
    """Return the name of an argument with the noun of a made-up tool in it."""
    for slot in ("noun", "nouns"):
        argument = argument.replace(f"{{{slot}}}", nouns.get(slot, ""))
    return argument.replace(" ", "_")


def _described(rng: Random, spec: Spec, nouns: Mapping[str, str]) -> str:
    about = spec.phrases.say(rng, "about", **nouns).replace(" .", ".")
    about = capital(about)
    roll = rng.random()
    if roll < 0.12:
        frame = rng.choice(
            ("Use this to {}", "Use this tool to {}", "Lets you {}", "A tool to {}", "Useful to {}", "Can {}")
        )
        about = frame.format(small(about))
    if rng.random() < 0.1:
        return f"{about} {phrases('special_observations').say(rng, 'more')}"
    return about.rstrip(".") if rng.random() < 0.08 else about


def _styled(snake: str, style: str) -> str:
    parts = snake.split("_")
    match style:
        case "camel":
            return parts[0] + "".join(part.capitalize() for part in parts[1:])
        case "pascal":
            return "".join(part.capitalize() for part in parts)
        case "kebab":
            return "-".join(parts)
        case "dotted" if len(parts) > 1:
            return f"{'_'.join(parts[1:])}.{parts[0]}"
        case _:
            return snake


def made_up_nouns(rng: Random, words: Words) -> dict[str, str]:
    """Return the words that a made-up tool is about: listed, rare or invented ones."""
    listed = listed_nouns(rng)
    maker = rng.choices((None, words.rare, words.invented), (45, 25, 30))[0]
    if maker:
        listed |= _forms("noun", maker(rng))
    if rng.random() < 0.3:
        listed |= _forms("thing", rng.choice((words.rare, words.invented))(rng))
    if rng.random() < 0.2:
        listed["attribute"] = words.rare(rng)
    return listed


def listed_nouns(rng: Random) -> dict[str, str]:
    """Return words that a made-up tool is about, all of them from the list."""
    book = phrases("special_nouns")
    noun = book.say(rng, "noun")
    thing = book.say(rng, "noun")
    while thing == noun:
        thing = book.say(rng, "noun")
    attribute, verb = book.say(rng, "attribute"), book.say(rng, "verb")
    return {**_forms("noun", noun), **_forms("thing", thing), "attribute": attribute, "verb": verb}


def _forms(slot: str, noun: str) -> dict[str, str]:
    article = "an" if noun.startswith(_ARTICLE_VOWELS) else "a"
    return {slot: noun, f"a_{slot}": f"{article} {noun}", f"{slot}s": _plural(noun)}


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in _ARTICLE_VOWELS:
        return f"{noun[:-1]}ies"
    return f"{noun}s"
