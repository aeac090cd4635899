"""Strings of every kind, on which the tokenizer and llama.cpp must agree."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

from main_api.bundled_model.corpus.conversation import segments
from main_api.bundled_model.corpus.mixture import conversations
from main_api.bundled_model.tokenizer import SPECIAL

_WORDS = (
    "the", "Search", "don't", "naïve", "I'll", "we've", "THEY'RE", "x2", "über", "it's", "État", "e-mail", "C++", "R&D",
)  # fmt: skip
_SCRIPTS = (
    "Zürich café Ærøskøbing Łódź",
    "Ελλάδα και Κύπρος",
    "Съешь ещё этих мягких булок",
    "東京の天気は晴れです。",
    "서울 날씨 알려줘",
    "مرحبا بالعالم ١٢٣",
    "שלום עולם",
    "नमस्ते दुनिया १२३",
    "ภาษาไทยไม่มีช่องว่าง",
    "中文，没有空格。",
    "e\u0301 a\u0308 decomposed",
)
_EMOJI = ("😀", "👩‍👩‍👧", "🇩🇪", "👍🏽", "❤️", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🫠", "✈", "♥")
_NUMBERS = ("7", "1,250.75", "2024-12-31", "Ⅻ", "½", "x²", "٣٤", "１２", "1e-9", "0x1F", "+49 30 1234", "100000000")
_CODE = (
    "def f(x):\n    return [y ** 2 for y in x]\n",
    "for i in range(10):\n\tprint(i, end='')\n",
    "import csv\nwith open('sales.csv') as f:\n    rows = list(csv.DictReader(f))\n",
    "SELECT * FROM t WHERE a <> 'b' -- c\n",
    'if (a && !b) { return "x\\n"; } // y',
    "<div class='a'>&nbsp;</div>",
    "$ curl -s 'http://127.0.0.1:10007/v1/models' | jq .",
    "    \n\n  # ---- \t\n",
)
_BLANKS = (
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\n\n\n",
    "\u00a0",
    "\u2003",
    "\u200b",
    "\ufeff",
    "\u3000",
    " \n ",
    "\x0b",
    "\x85",
)
_PLANES = ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x10FFFF))


def strings(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Yield `count` strings, each with the name of its kind, the kinds in turn."""
    rng = Random(seed)
    rendered = ("".join(text for text, _ in segments(one)) for one in conversations(seed, held_out=True))
    kinds: dict[str, Callable[[Random], str]] = {
        "conversation": lambda _: next(rendered),
        "sentence": lambda rng: " ".join(rng.choices(_WORDS, k=rng.randint(1, 20))) + rng.choice((".", "?", "!", "")),
        "script": lambda rng: _mixed(rng, _SCRIPTS, 3),
        "emoji": lambda rng: _mixed(rng, (*_EMOJI, "word"), 8),
        "number": lambda rng: _mixed(rng, (*_NUMBERS, "a", "+"), 8),
        "code": lambda rng: _mixed(rng, _CODE, 3),
        "line ends": lambda rng: "".join(rng.choice((*_WORDS, "\r\n", "\n", "\r")) for _ in range(rng.randint(1, 20))),
        "special": lambda rng: _mixed(rng, (*SPECIAL, "<|im_start|", "|>", "<|endoftext", *_WORDS), 10),
        "characters": _characters,
        "blanks": lambda rng: "".join(rng.choice((*_BLANKS, "a", "B ", "7")) for _ in range(rng.randint(1, 20))),
        "json": lambda rng: json.dumps(_value(rng, 3), ensure_ascii=rng.random() < 0.3, indent=rng.choice((None, 2))),
    }
    names = list(kinds)
    for name in islice((names[number % len(names)] for number in range(count)), count):
        yield name, kinds[name](rng)


def _mixed(rng: Random, parts: tuple[str, ...], most: int) -> str:
    return rng.choice(("", " ", ", ", "\n")).join(rng.choices(parts, k=rng.randint(1, most)))


def _characters(rng: Random) -> str:
    """Return any characters, assigned or not: what any bytes that are UTF-8 stand for."""
    return "".join(chr(rng.randint(*rng.choice(_PLANES))) for _ in range(rng.randint(1, 30)))


def _value(rng: Random, depth: int) -> object:
    plain: list[object] = [rng.choice(_WORDS), rng.choice(_SCRIPTS), rng.randint(-999, 999), 1.5, True, None, 'a "b"\n']
    if depth and rng.random() < 0.7:
        count = rng.randint(0, 4)
        if rng.random() < 0.5:
            return [_value(rng, depth - 1) for _ in range(count)]
        return {rng.choice(_WORDS): _value(rng, depth - 1) for _ in range(count)}
    return rng.choice(plain)
