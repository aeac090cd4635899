"""Programs about texts and lists of words."""

from collections import Counter
from collections.abc import Mapping

from main_api.bundled_model.corpus.programs.task import Task

TEXTS: Mapping[str, Task] = {
    "words": Task("sentence", 'print(len("$t".split()))', lambda g: [len(g["t"].split())], 3),
    "letters": Task("text", 'print(sum(c.isalpha() for c in "$t"))', lambda g: [sum(c.isalpha() for c in g["t"])], 2.5),
    "characters": Task("text", 'print(len("$t"))', lambda g: [len(g["t"])], 1.5),
    "vowels": Task(
        "text",
        'print(sum(c in "aeiou" for c in "$t".lower()))',
        lambda g: [sum(c in "aeiou" for c in g["t"].lower())],
        3,
    ),
    "letter_count": Task("letter", 'print("$t".lower().count("$c"))', lambda g: [g["t"].lower().count(g["c"])], 2.5),
    "upper": Task("text", 'print("$t".upper())', lambda g: [g["t"].upper()], 2),
    "lower": Task("text", 'print("$t".lower())', lambda g: [g["t"].lower()]),
    "title": Task("text", 'print("$t".title())', lambda g: [g["t"].title()], 0.7),
    "backwards": Task("text", 'print("$t"[::-1])', lambda g: [g["t"][::-1]], 3),
    "palindrome": Task(
        "word", 't = "$t".lower()\nprint(t == t[::-1])', lambda g: [g["t"].lower() == g["t"].lower()[::-1]], 2
    ),
    "reverse_words": Task(
        "sentence", 'print(" ".join("$t".split()[::-1]))', lambda g: [" ".join(g["t"].split()[::-1])], 0.8
    ),
    "longest": Task("sentence", 'print(max("$t".split(), key=len))', lambda g: [max(g["t"].split(), key=len)]),
    "no_spaces": Task("sentence", 'print("$t".replace(" ", ""))', lambda g: [g["t"].replace(" ", "")], 0.6),
    "replace": Task("swap", 'print("$t".replace("$c", "$d"))', lambda g: [g["t"].replace(g["c"], g["d"])], 0.8),
    "repeat": Task("repeat", 'for _ in range($n):\n    print("$t")', lambda g: [g["t"]] * g["n"], 2),
    "print": Task("text", 'print("$t")', lambda g: [g["t"]], 1.2),
    "hello": Task("nothing", 'print("Hello, World!")', lambda g: ["Hello, World!"], 0.6),
    "letter_counts": Task(
        "short",
        'from collections import Counter\n\nprint(dict(Counter("$t")))',
        lambda g: [_counted(g["t"])],
        0.7,
    ),
    "sort_letters": Task("short", 'print("".join(sorted("$t")))', lambda g: ["".join(sorted(g["t"]))], 0.6),
    "split": Task("sentence", 'print("$t".split())', lambda g: [g["t"].split()], 0.6),
    "no_vowels": Task(
        "text",
        'print("".join(c for c in "$t" if c.lower() not in "aeiou"))',
        lambda g: ["".join(c for c in g["t"] if c.lower() not in "aeiou")],
        0.6,
    ),
    "capitals": Task(
        "sentence", 'print(sum(c.isupper() for c in "$t"))', lambda g: [sum(c.isupper() for c in g["t"])], 0.5
    ),
    "anagram": Task(
        "anagram", 'print(sorted("$c") == sorted("$d"))', lambda g: [sorted(g["c"]) == sorted(g["d"])], 0.7
    ),
    "sort_by_length": Task("words", "print(sorted($ls, key=len))", lambda g: [sorted(g["ls"], key=len)], 0.7),
    "sort_words_descending": Task(
        "words", "print(sorted($ls, reverse=True))", lambda g: [sorted(g["ls"], reverse=True)], 0.5
    ),
    "reverse_list": Task("words", "print($ls[::-1])", lambda g: [list(reversed(g["ls"]))], 0.7),
    "sort_words": Task("words", "print(sorted($ls))", lambda g: [sorted(g["ls"])], 1.5),
    "longest_of": Task("words", "print(max($ls, key=len))", lambda g: [max(g["ls"], key=len)], 0.8),
}


def _counted(text: str) -> dict[str, int]:
    return dict(Counter(text))
