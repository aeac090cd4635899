"""What goes next in the encoder's child."""

import threading
from collections.abc import Sequence

from tools_api.embeddings.child.queue import Item, Part, Prepared, Queue
from tools_api.embeddings.frames import Task, Texts


def part(call: int, lengths: Sequence[int], task: Task = Task.PASSAGE, first: int = 0) -> tuple[Part, list[Prepared]]:
    texts = [f"{call}:{first + place}" for place in range(len(lengths))]
    return Part(call, first, Texts(task, texts)), [
        Prepared(length, text) for length, text in zip(lengths, texts, strict=True)
    ]


def waiting(queue: Queue, *parts: tuple[Part, list[Prepared]]) -> None:
    """Let parts wait, prepared."""
    ready = {id(item): prepared for item, prepared in parts}
    for item, _ in parts:
        queue.add(item)
    for _ in parts:
        taken = queue.next_part()
        queue.prepared(taken, ready[id(taken)])


def texts(batch: Sequence[Item]) -> list[str]:
    return [str(item.prepared.features) for item in batch]


def taken(queue: Queue, count: int, budget: int) -> list[list[str]]:
    return [texts(queue.next_batch(lambda _task: budget)) for _ in range(count)]


def test_texts_of_like_length_make_a_batch_within_the_budget_padding_included() -> None:
    queue = Queue()
    waiting(queue, part(1, [100, 10, 95, 11, 90, 12]))
    assert taken(queue, 3, 200) == [["1:2", "1:0"], ["1:1", "1:3", "1:5"], ["1:4"]]


def test_a_text_over_the_budget_goes_alone() -> None:
    queue = Queue()
    waiting(queue, part(1, [500, 499]))
    assert taken(queue, 2, 100) == [["1:0"], ["1:1"]]


def test_every_text_is_computed_once() -> None:
    queue = Queue()
    lengths = [(7 * place) % 97 + 1 for place in range(300)]
    waiting(queue, part(1, lengths[:150]), part(1, lengths[150:], first=150))
    seen: list[str] = []
    while len(seen) < 300:
        batch = queue.next_batch(lambda _task: 128)
        assert max(item.prepared.tokens for item in batch) * len(batch) <= 128
        seen += texts(batch)
    assert sorted(seen) == sorted(f"1:{place}" for place in range(300))


def test_questions_go_before_pairs_and_those_before_passages() -> None:
    queue = Queue()
    waiting(queue, part(1, [5], Task.PASSAGE), part(2, [5], Task.RERANK), part(3, [5], Task.QUERY))
    assert taken(queue, 3, 100) == [["3:0"], ["2:0"], ["1:0"]]


def test_a_short_list_waits_for_a_batch_of_the_long_one_and_not_for_all() -> None:
    queue = Queue()
    waiting(queue, part(1, [100] * 50))
    taken(queue, 1, 100)
    waiting(queue, part(2, [10]))
    assert ["2:0"] in taken(queue, 2, 100)


def test_callers_take_turns_in_being_prepared() -> None:
    queue = Queue()
    for first in range(3):
        queue.add(part(1, [1], first=first)[0])
    queue.add(part(2, [1])[0])
    assert [queue.next_part().call for _ in range(4)] == [1, 2, 1, 1]


def test_what_is_dropped_is_neither_prepared_nor_computed() -> None:
    queue = Queue()
    waiting(queue, part(1, [10] * 20), part(2, [10]))
    queue.add(part(1, [10], first=20)[0])
    queue.drop(1)
    assert taken(queue, 1, 10_000) == [["2:0"]]
    queue.add(part(3, [10])[0])
    assert queue.next_part().call == 3


def test_what_was_dropped_while_it_was_prepared_is_not_computed() -> None:
    queue = Queue()
    dropped, prepared = part(1, [10])
    queue.add(dropped)
    queue.drop(queue.next_part().call)
    queue.prepared(dropped, prepared)
    waiting(queue, part(2, [10]))
    assert taken(queue, 1, 100) == [["2:0"]]


def test_no_batch_of_passages_begins_while_a_question_is_being_prepared() -> None:
    queue = Queue()
    waiting(queue, part(1, [10]))
    question, prepared = part(2, [3], Task.QUERY)
    queue.add(question)
    found: list[list[str]] = []
    computing = threading.Thread(target=lambda: found.extend(taken(queue, 2, 100)))
    computing.start()
    queue.prepared(queue.next_part(), prepared)
    computing.join(10)
    assert found == [["2:0"], ["1:0"]]
