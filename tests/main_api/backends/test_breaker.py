import pytest

from main_api.backends.breaker import CircuitBreaker
from shared.errors import Unavailable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, open_s=10, clock=clock)


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.enter("m")
        breaker.failed("m")


def test_it_opens_after_failures_in_a_row_and_says_when_to_come_back(breaker: CircuitBreaker) -> None:
    fail(breaker, 3)
    with pytest.raises(Unavailable, match="several times in a row") as raised:
        breaker.enter("m")
    assert raised.value.retry_after == 10


def test_a_success_in_between_starts_the_count_again(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    breaker.succeeded("m")
    fail(breaker, 2)
    assert breaker.enter("m") is False


def test_other_models_are_not_touched(breaker: CircuitBreaker) -> None:
    fail(breaker, 3)
    assert breaker.enter("other") is False


def test_half_open_lets_one_probe_through(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    assert breaker.enter("m") is True
    with pytest.raises(Unavailable):
        breaker.enter("m")


def test_a_good_probe_closes(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    breaker.enter("m")
    breaker.succeeded("m")
    assert breaker.enter("m") is False


def test_a_bad_probe_opens_again_at_once(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker)
    with pytest.raises(Unavailable):
        breaker.enter("m")


def test_a_probe_whose_caller_left_makes_room_for_another(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    breaker.enter("m")
    breaker.abandoned("m")
    assert breaker.enter("m") is True


def test_endless_names_cost_bounded_memory(breaker: CircuitBreaker) -> None:
    for number in range(5000):
        breaker.failed(f"m{number}")
    assert len(breaker._circuits) <= 1000
