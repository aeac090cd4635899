"""The tokenizer: byte-level BPE that llama.cpp (`smollm`), transformers and MLX read alike.

Copying is what the model does most, so a word is made of the same tokens wherever it stands: merges are learned on
letters alone, with blanks, digits, quotes and brackets by themselves. Only the most frequent words of the corpus get a
token with their blank, and JSON its usual runs of signs.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from main_api.bundled_model.corpus.conversation import segments
from main_api.bundled_model.corpus.language.words import frequent_words
from main_api.bundled_model.corpus.mixture import conversations

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END_OF_TEXT, START, END = range(3)
_SIZE = 4096
_WITH_BLANK = 700
_SAMPLE = 20_000
_OFTEN = 60
_MOST = 4_000
_ENGLISH = 300_000
_SIGNS = (
    *('{ "', '" :', '" ,', 'Ġ "', '" }', '"} }', '"} ,', '"} ]', "Ġ {", 'Ġ {"', "Ġ [", 'Ġ[ {"', "] }", "]} ,", "Ġ[ ]"),
    *("Ġ[] }", "Ġ[]} ,", "]} ]", "]}] }", "Ġ[]} ]", "Ġ[]}] }", "* *", "Ċ Ċ", "' s", "Ġ (", "Ġ <", "Ġ -", "Ċ -", "Ġ Ġ"),
    "ĠĠ Ġ",
)
"""Merges of signs, as pairs."""


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Return how text is split before merging: single digits, then GPT-2's pattern. llama.cpp calls this `smollm`."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def assembled(vocabulary: Sequence[str], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """Return the tokenizer of a vocabulary in order of its ids and its merges in order of their rank."""
    tokenizer = Tokenizer(
        models.BPE(vocab={token: number for number, token in enumerate(vocabulary)}, merges=list(merges))
    )
    tokenizer.pre_tokenizer = pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    tokenizer.add_special_tokens(special)  # pyright: ignore[reportUnknownMemberType] - the package says list
    return tokenizer


def learn(seed: int, *, size: int = _SIZE) -> Tokenizer:
    """Learn the tokenizer from the corpus of `seed` and the words that it draws from. Takes about a minute."""
    texts = [text for conversation in islice(conversations(seed), _SAMPLE) for text, _ in segments(conversation)]
    words = _weighted(texts)
    with_blank = _blank_words(texts)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    room = size - len(SPECIAL) - len(alphabet) - len(_SIGNS) - _WITH_BLANK
    merges = _letter_merges(words, room)
    vocabulary = [*SPECIAL, *alphabet, *("".join(pair) for pair in merges)]
    for pair in (tuple(sign.split(" ")) for sign in _SIGNS):
        merges.append((pair[0], pair[1]))
        vocabulary.append(pair[0] + pair[1])
    known = set(vocabulary)
    for word in with_blank:
        if word in known and len(vocabulary) < size:
            merges.append(("Ġ", word))
            vocabulary.append(f"Ġ{word}")
    return assembled(vocabulary, merges)


def save(tokenizer: Tokenizer, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def load(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def _letters(text: str) -> Iterator[str]:
    word = ""
    for character in text:
        if character.isascii() and character.isalpha():
            word += character
        elif word:
            yield word
            word = ""
    if word:
        yield word


def _weighted(texts: Sequence[str]) -> Counter[str]:
    """Return words with how much they matter: those of the templates by how often they stand there, all English words
    by their frequency. Invented words, of which the corpus is full, count for nothing."""
    english = frequent_words()
    words: Counter[str] = Counter()
    seen = Counter(word for text in texts for word in _letters(text))
    for word, times in sorted(seen.items()):
        if times >= _OFTEN:
            words[word] = min(times, _MOST)
    for rank, word in enumerate(english):
        words[word] += _ENGLISH // (rank + 200)
        words[word.capitalize()] += _ENGLISH // (rank + 200) // 8
    return words


def _blank_words(texts: Sequence[str]) -> list[str]:
    """Return the words that stand most often behind a blank."""
    found: Counter[str] = Counter()
    for text in texts:
        for part in text.split(" ")[1:]:
            word = next(_letters(part), "")
            if (part.startswith(word) and len(word) > 1) or word in ("a", "I"):
                found[word] += 1
    return [word for word, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))[: 2 * _WITH_BLANK]]


def _letter_merges(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """Learn `count` merges within words."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=52 + count, initial_alphabet=[], show_progress=False)
    repeated = (" ".join([word] * min(times, 50_000)) for word, times in sorted(words.items()))
    learner.train_from_iterator(repeated, trainer)
    found: list[list[str]] = json.loads(learner.to_str())["model"]["merges"]
    return [(first, second) for first, second in found[:count]]
