"""Notice a model that has fallen into a loop, so that it is stopped long before `max_tokens`.

Small models loop (`15, 15, 15, …`, or spaces without end). A stretch counts as a loop when it repeats one unit often
enough, is no rule of dashes or the like, and was not copied from what the model was given (10**100 has many zeros).
"""

from collections.abc import Callable

_CHECK_EVERY = 32
_STUTTER = 24
_WINDOWS = ((96, 8), (480, 5))
"""Characters of the tail, and how often a unit must fit into it: short units are seen early, sentences later."""


class LoopWatch:
    """Read a growing text; say when it loops. `patience` stretches the windows where long texts are normal.

    `given` returns what the model was shown; it is asked for only when a loop is suspected.
    """

    def __init__(self, given: Callable[[], str], *, patience: int = 1) -> None:
        self._given = given
        self._patience = patience
        self._tail = ""
        self._unchecked = 0

    def loops(self, chunk: str) -> bool:
        """Add a chunk; return whether the text loops now."""
        longest = _WINDOWS[-1][0] * self._patience
        self._tail = (self._tail + chunk)[-longest:]
        self._unchecked += len(chunk)
        if self._unchecked < _CHECK_EVERY:
            return False
        self._unchecked = 0
        return any(self._is_loop(size * self._patience, repeats) for size, repeats in _WINDOWS)

    def _is_loop(self, size: int, repeats: int) -> bool:
        tail = self._tail[-size:]
        if len(tail) < size or not (tail.isspace() or any(char.isalnum() for char in tail)):
            return False
        repeated = any(tail[unit:] == tail[:-unit] for unit in range(1, size // repeats + 1))
        return repeated and tail not in self._given()


def stutters(text: str) -> bool:
    """Return whether a text ends in what may become a loop: a short unit several times over."""
    tail = text[-_STUTTER:]
    return len(tail) == _STUTTER and any(tail[unit:] == tail[:-unit] for unit in range(1, _STUTTER // 4 + 1))
