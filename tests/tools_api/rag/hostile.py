"""Questions that try to reach what belongs to somebody else: by name, by id, by syntax, by sheer size."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SQL = ["' OR '1'='1", '" OR ""="', "1; DROP TABLE chunk; --", "') UNION SELECT text FROM chunk --", "%", "\\", "?1"]
_WORDS_SYNTAX = [
    "*", "*:*", "text:*", "name:* OR text:*", "NOT nothing", "-nothing +*", '"', '"a b"~10', "[a TO z]", "{* TO *}",
    "a^100", "(((", "title:/.*/", "IN [a b]", "a AND", "~", "text:[* TO *]", "body:{a TO *}", "chunk_id:>0",
]  # fmt: skip
_UNICODE = [
    "ｃａｎａｒｙ", "can\u200bary", "\u202eyranac", "canary\u0000", "cãnary", "CANARY", "ςανάρυ", "🐤", "ca\u00adnary",
    "\ufeffcanary", "ﬁle", "İstanbul", "ß", "\u0301", "一二三", "ไทย",
]  # fmt: skip
_SIZES = ["a " * 1900, "canary " * 500, "x" * 3999, "\n" * 50 + "canary"]
_PLAIN = [
    "secret", "password", "account", "report", "canary", "holiday", "rule", "of", "the", "and", "plan", "budget",
    "note", "owner", "text", "page",
]  # fmt: skip
_REGEXES = [".*", ".", "(?s).*", "(?i)canary.*", "[a-z]+", "canary-[0-9a-f]+", "^", "$", "(a|b)*", r"\w+", r"\S+"]


@dataclass(frozen=True)
class Others:
    """What a person knows of things that are not theirs: more than they could."""

    canaries: Sequence[str]
    collection_ids: Sequence[str]
    collection_names: Sequence[str]
    document_ids: Sequence[str]
    document_names: Sequence[str]
    people: Sequence[str]

    def any(self, dice: random.Random) -> str:
        return dice.choice(
            [
                *self.canaries, *self.collection_ids, *self.collection_names, *self.document_ids,
                *self.document_names, *self.people,
            ]
        )  # fmt: skip


def query(dice: random.Random, others: Others) -> str:
    """Return the words of a question."""
    match dice.randrange(6):
        case 0:
            return dice.choice(_SQL + _WORDS_SYNTAX + _UNICODE)
        case 1:
            return dice.choice(others.canaries)
        case 2:
            return f"{dice.choice(_WORDS_SYNTAX)} {others.any(dice)} {dice.choice(_SQL)}"[:3900]
        case 3:
            return dice.choice(_SIZES)
        case 4:
            return f'"{others.any(dice)}"'
        case _:
            return " ".join(dice.choices(_PLAIN, k=dice.randint(1, 8)))


def condition(dice: random.Random, others: Others, depth: int = 0) -> Any:
    """Return a filter: one that is fulfilled by everything, one that names others' things, or nonsense."""
    field = dice.choice(
        [
            "name", "document_id", "media_type", "created_at", "owner", "service", "person", "collection_id", "c.text",
            "d.id", "name') OR 1=1 --", '$."owner"', 'x"] = 1 OR 1=1 --', "metadata.owner", "rowid", "$.a", "*", "",
        ]
    )  # fmt: skip
    value = dice.choice([others.any(dice), "1' OR '1'='1", 1, True, None, -1, 2**63, 1e308, [], {}])
    match dice.randrange(8 if depth < 3 else 4):
        case 0:
            return {field: value}
        case 1:
            return {field: {dice.choice(["$ne", "$in", "$nin", "$gte", "$exists", "$regex", "$where"]): value}}
        case 2:
            return {field: {"$ne": "nothing at all"}}
        case 3:
            return {"document_id": {"$in": list(others.document_ids)[:50]}}
        case 4:
            return {"$or": [condition(dice, others, depth + 1), {}]}
        case 5:
            return {"$not": condition(dice, others, depth + 1)}
        case 6:
            return {"$and": [condition(dice, others, depth + 1) for _ in range(dice.randint(0, 3))]}
        case _:
            return {"$or": [{"name": name} for name in others.document_names[:20]]}


def collections(dice: random.Random, others: Others) -> list[str] | None:
    """Return the collections that a question names, or None for all."""
    if dice.random() < 0.5:
        return None
    guess = f"col_{dice.getrandbits(128):032x}"
    known = [*others.collection_ids, *others.collection_names, guess, "%", "*", "notes' OR '1'='1", "../notes", ""]
    return dice.choices(known, k=dice.randint(1, 3))


def search_body(dice: random.Random, others: Others) -> dict[str, Any]:
    """Return the body of a search."""
    body: dict[str, Any] = {
        "query": query(dice, others),
        "mode": dice.choice(["hybrid", "dense", "words"]),
        "top_k": dice.choice([1, 10, 100, 100, 10**6, 2**70, -1]) if dice.random() < 0.5 else 50,
    }
    if dice.random() < 0.5:
        body["filter"] = condition(dice, others)
    if (named := collections(dice, others)) is not None:
        body["collections"] = named
    return body


def grep_body(dice: random.Random, others: Others) -> dict[str, Any]:
    """Return the body of an exact search."""
    regex = dice.random() < 0.6
    pattern = dice.choice(_REGEXES) if regex else others.any(dice)
    body: dict[str, Any] = {"pattern": pattern, "regex": regex, "ignore_case": dice.random() < 0.5, "limit": 1000}
    if dice.random() < 0.4:
        body["filter"] = condition(dice, others)
    if (named := collections(dice, others)) is not None:
        body["collections"] = named
    return body


def tool_arguments(dice: random.Random, others: Others) -> dict[str, Any]:
    """Return what a model that was talked into it might call the tool with."""
    arguments: dict[str, Any] = {
        "query": query(dice, others),
        "action": dice.choice(["search", "grep", "read", "list"]),
    }
    if dice.random() < 0.4:
        arguments["collection"] = dice.choice([*others.collection_ids, *others.collection_names, "%"])
    if arguments["action"] == "read" or dice.random() < 0.2:
        arguments["document"] = dice.choice([*others.document_ids, *others.document_names, "%", "*"])
    if arguments["action"] == "read" and dice.random() < 0.5:
        arguments["around"] = dice.choice([1, 2, 10**9])
    if arguments["action"] == "grep" and dice.random() < 0.5:
        arguments["pattern"] = dice.choice(_REGEXES)
    if dice.random() < 0.5:
        arguments["top_k"] = dice.choice([1, 20])
    return arguments
