"""Stop words for mlx-lm, found in the text.

mlx-lm 0.32 looks for the tokens that a stop word alone is made of; inside a text the same letters are often other
tokens, and then it removes the word from the answer and writes on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any


class StoppingGenerator:
    """mlx-lm's ResponseGenerator with stop words that work."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def generate(self, request: Any, arguments: Any, progress_callback: Any = None) -> tuple[Any, Iterator[Any]]:
        """Do what ResponseGenerator.generate does, ending the answer before the first stop word."""
        words, arguments.stop_words = arguments.stop_words, []
        context, pieces = self._inner.generate(request, arguments, progress_callback=progress_callback)
        return context, (_until(words, pieces, context) if words else pieces)


def _until(words: Sequence[str], pieces: Iterator[Any], context: Any) -> Iterator[Any]:
    for piece in cut(words, pieces):
        yield piece
        if piece.finish_reason == "stop":
            context.stop()
            return


def cut(words: Sequence[str], pieces: Iterator[Any]) -> Iterator[Any]:
    """Yield `pieces` up to the first of `words`, then one that says `stop`; a possible beginning is held back.

    mlx-lm's handler drops the text of the piece that says `stop`, so text that is left goes into one before it.
    """
    held = ""
    for piece in pieces:
        held += piece.text
        if (at := _first(words, held)) is not None:
            yield replace(piece, text=held[:at], finish_reason=None)
            yield replace(piece, text="", finish_reason="stop")
            return
        if piece.finish_reason == "stop" and held:
            yield replace(piece, text=held, finish_reason=None)
            held = ""
        keep = 0 if piece.finish_reason else _beginning(words, held)
        yield replace(piece, text=held[: len(held) - keep])
        held = held[len(held) - keep :]


def _first(words: Sequence[str], text: str) -> int | None:
    return min((at for word in words if (at := text.find(word)) >= 0), default=None)


def _beginning(words: Sequence[str], text: str) -> int:
    """Return how many characters at the end of `text` could begin one of `words`."""
    longest = min(len(text), max(len(word) for word in words) - 1)
    return next((size for size in range(longest, 0, -1) if any(word.startswith(text[-size:]) for word in words)), 0)
