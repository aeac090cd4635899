"""What is cut from a long history, and what never is."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from main_api.sessions.history import estimate_tokens, fit_history, model_messages
from main_api.sessions.records import StoredMessage

Message = dict[str, Any]


def said(role: str, text: str = "words") -> Message:
    return {"role": role, "content": text}


def call(*ids: str) -> Message:
    calls = [{"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for call_id in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def answer(call_id: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": "42"}


def stored(message: Message, status: str = "complete") -> StoredMessage:
    return StoredMessage(id="msg_1", time=datetime.now(UTC), turn="t", message=message, status=status)  # type: ignore[arg-type]


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = []
    number = 0
    for kind in draw(st.lists(st.sampled_from(["system", "user", "assistant", "call"]), min_size=1, max_size=25)):
        if kind != "call":
            messages.append(said(kind, draw(st.text(max_size=80))))
            continue
        ids = [f"c{number + offset}" for offset in range(draw(st.integers(1, 3)))]
        number += len(ids)
        messages.append(call(*ids))
        for call_id in draw(st.permutations(ids)):
            messages += draw(st.sampled_from([[], [said("system", "aside")]]))
            messages.append(answer(call_id))
    return messages


LIMITS = {"max_messages": st.integers(1, 30), "budget": st.none() | st.integers(0, 600)}


def non_system(messages: Any) -> list[Message]:
    return [message for message in messages if message["role"] != "system"]


@given(messages=conversations(), **LIMITS)
def test_system_messages_the_newest_question_and_the_last_message_stay(messages, max_messages, budget) -> None:
    kept = fit_history(messages, max_messages=max_messages, token_budget=budget).messages
    by_identity = {id(message) for message in kept}
    assert all(id(message) in by_identity for message in messages if message["role"] == "system")
    questions = [message for message in messages if message["role"] == "user"]
    assert not questions or id(questions[-1]) in by_identity
    assert id(messages[-1]) in by_identity


@given(messages=conversations(), **LIMITS)
def test_a_call_and_its_answers_stay_or_go_together(messages, max_messages, budget) -> None:
    kept = fit_history(messages, max_messages=max_messages, token_budget=budget).messages
    asked = {entry["id"] for message in kept for entry in message.get("tool_calls") or ()}
    answered = {message["tool_call_id"] for message in kept if message["role"] == "tool"}
    assert asked == answered


@given(messages=conversations(), **LIMITS)
def test_order_is_kept_and_the_report_adds_up(messages, max_messages, budget) -> None:
    fitted = fit_history(messages, max_messages=max_messages, token_budget=budget)
    positions = {id(message): index for index, message in enumerate(messages)}
    kept = [positions[id(message)] for message in fitted.messages]
    assert kept == sorted(set(kept))
    assert fitted.cut_messages == len(messages) - len(kept)
    total = sum(map(estimate_tokens, messages))
    assert fitted.tokens == sum(map(estimate_tokens, fitted.messages))
    assert fitted.cut_tokens == total - fitted.tokens


@given(messages=conversations(), **LIMITS)
def test_the_limits_hold_beyond_what_is_never_cut(messages, max_messages, budget) -> None:
    fitted = fit_history(messages, max_messages=max_messages, token_budget=budget)
    least = fit_history(messages, max_messages=0, token_budget=0)
    assert len(non_system(fitted.messages)) <= max(max_messages, len(non_system(least.messages)))
    if budget is not None:
        assert fitted.tokens <= max(budget, least.tokens)


@given(messages=conversations(), **LIMITS)
def test_fitting_again_cuts_nothing_more(messages, max_messages, budget) -> None:
    once = fit_history(messages, max_messages=max_messages, token_budget=budget)
    again = fit_history(once.messages, max_messages=max_messages, token_budget=budget)
    assert again.messages == once.messages


@given(messages=conversations())
def test_what_fits_is_left_alone(messages) -> None:
    fitted = fit_history(messages, max_messages=len(messages), token_budget=10_000_000)
    assert (list(fitted.messages), fitted.cut_messages, fitted.cut_tokens) == (messages, 0, 0)


def test_the_newest_messages_are_the_ones_kept() -> None:
    messages = [said("system"), *(said(role, str(n)) for n in range(5) for role in ("user", "assistant")), said("user")]
    fitted = fit_history(messages, max_messages=5)
    assert list(fitted.messages) == [messages[0], *messages[-5:]]
    assert fitted.cut_messages == 6


def test_after_a_cut_the_history_begins_with_a_question() -> None:
    messages = [said("user"), said("assistant"), said("user"), said("assistant"), said("user")]
    assert [message["role"] for message in fit_history(messages, max_messages=4).messages] == [
        "user",
        "assistant",
        "user",
    ]


def test_a_question_larger_than_the_budget_is_kept_and_reported() -> None:
    fitted = fit_history(
        [said("user"), said("assistant"), said("user", "long " * 1000)], max_messages=9, token_budget=50
    )
    assert (len(fitted.messages), fitted.tokens > 50, fitted.cut_messages) == (1, True, 2)


def test_a_long_history_is_fitted_without_quadratic_work() -> None:
    import time

    messages = [said("user" if n % 2 == 0 else "assistant", "word " * 50) for n in range(20_001)]
    begun = time.thread_time()
    fit_history(messages, max_messages=20_000, token_budget=1_000_000)
    assert time.thread_time() - begun < 5  # quadratic work would take minutes


@given(st.text(max_size=300), st.text(max_size=300))
def test_more_text_is_never_estimated_to_be_less(first: str, second: str) -> None:
    assert estimate_tokens(said("user", first)) <= estimate_tokens(said("user", first + second))


def test_the_estimate_is_not_below_a_real_tokenizers_count() -> None:
    measured = {  # tokens of a 65,000-entry BPE vocabulary
        "The quick brown fox jumps over the lazy dog. " * 10: 101,
        "오늘 회의에서 논의한 내용을 정리하면 다음과 같습니다. 첫째, 데이터베이스를 이전하고 "
        "둘째, 새로운 기능을 출시합니다. ": 62,
        "今天的会议讨论了数据库迁移和新功能发布的计划，大家一致同意在下个月完成。": 34,
    }
    for text, tokens in measured.items():
        assert tokens <= estimate_tokens(said("user", text)) <= 2 * tokens


def test_images_and_tool_calls_count() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "A" * 10**6}}]}
    assert 1000 <= estimate_tokens(image) < 1100
    assert estimate_tokens(call("a", "b")) > estimate_tokens(call("a")) > 10


def test_what_a_model_may_be_sent_has_no_open_calls_and_no_empty_failures() -> None:
    history = [
        stored(said("user", "one")),
        stored({"role": "assistant", "content": ""}, "error"),
        stored(said("user", "two")),
        stored(said("assistant", "half an ans"), "partial"),
        stored(said("user", "three")),
        stored(call("never-answered")),
        stored(said("user", "four")),
        stored({**call("x", "y"), "content": "let me see"}),
        stored(answer("x")),
        stored(said("user", "five"), "interrupted"),
        stored(call("open")),
    ]
    sent = model_messages(history, [answer("open")])
    assert [message.get("content") for message in sent] == [
        *("one", "two", "half an ans", "three", "four", "let me see", "five", None, "42")
    ]
    assert [bool(message.get("tool_calls")) for message in sent] == [False] * 7 + [True, False]
