"""A circuit breaker: after several failures in a row a model is left alone for a while, then tried by one request.

Kept per model rather than per backend, so that one broken file does not shut off its neighbours. Written here because
the libraries wrap a whole call, while ours is judged by its first event and may be cancelled before that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from main_api.backends.engine import EngineStopped, EngineUnavailable
from shared.errors import Unavailable

_MOST_CIRCUITS = 1000


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    opened_at: float | None = None
    probing: bool = False


class CircuitBreaker:
    """Opens after `failures` in a row, for `open_s` seconds; then lets a single probe through."""

    def __init__(self, *, failures: int = 5, open_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = failures
        self._open_s = open_s
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}  # only of what failed last time

    def enter(self, key: str) -> bool:
        """Ask to try; raises `Unavailable` while the circuit is open. True: this try is the probe, see `abandoned`."""
        circuit = self._circuits.get(key)
        if circuit is None or circuit.opened_at is None:
            return False
        left = circuit.opened_at + self._open_s - self._clock()
        if left > 0 or circuit.probing:
            raise Unavailable(
                f"{key} failed several times in a row and is left alone for a moment; try again shortly.",
                retry_after=max(1.0, round(left)),
            )
        circuit.probing = True
        return True

    def succeeded(self, key: str) -> None:
        """Close the circuit."""
        self._circuits.pop(key, None)

    def failed(self, key: str, error: Exception | None = None) -> None:
        """Count a failure; the last one allowed, or one of a probe, opens the circuit.

        An engine's own errors do not count: it restarts, waits and refuses by itself, knows its reason and its time,
        and must not be kept off any longer than that.
        """
        if isinstance(error, EngineStopped | EngineUnavailable):
            return
        if len(self._circuits) >= _MOST_CIRCUITS and key not in self._circuits:
            self._circuits.pop(next(iter(self._circuits)))
        circuit = self._circuits.setdefault(key, _Circuit())
        circuit.failures += 1
        if circuit.probing or circuit.failures >= self._failures:
            circuit.opened_at = self._clock()
        circuit.probing = False

    def abandoned(self, key: str) -> None:
        """Say that a probe is over; if it told nothing, since its caller left, say, another one may probe."""
        if circuit := self._circuits.get(key):
            circuit.probing = False
