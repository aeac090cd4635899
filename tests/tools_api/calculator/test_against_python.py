"""The calculator against Python's own exact arithmetic, and against any text at all."""

import re
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from tools_api.calculator.lexer import MAX_LENGTH
from tools_api.calculator.worker import answer

_literals = st.one_of(
    st.integers(0, 10**12).map(str), st.decimals(0, 1000, places=3, allow_nan=False).map(lambda value: f"{value:f}")
)


def _sum(parts: tuple[str, str, str]) -> str:
    left, operator, right = parts
    return f"({left} {operator} {right})"


_expressions = st.recursive(
    _literals,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(_sum),
        inner.map(lambda operand: f"(-{operand})"),
        st.tuples(inner, st.integers(0, 4)).map(lambda pair: f"({pair[0]})**{pair[1]}"),
    ),
    max_leaves=12,
)


def _python(expression: str) -> Fraction | None:
    """Compute with Python's `Fraction` what the expression says; None for a division by zero."""
    exact = re.sub(r"(?<!\*\*)(?<![\d.])(\d+(?:\.\d+)?)", r"F('\1')", expression)
    try:
        value = eval(exact, {"F": Fraction})  # noqa: S307 -- our own generated text, and the oracle is Python itself
    except ZeroDivisionError:
        return None
    return Fraction(value)


@settings(max_examples=150, deadline=None)
@given(_expressions)
def test_exact_arithmetic_agrees_with_python(expression: str) -> None:
    expected = _python(expression)

    reply = answer(expression)

    if expected is None:
        assert reply["error"]["type"] == "undefined"
    else:
        assert Fraction(reply["exact"]) == expected


@settings(max_examples=150, deadline=None)
@given(st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-6))
def test_the_decimal_is_the_exact_value_to_fifteen_digits(value: float) -> None:
    reply = answer(f"{value:.12f} * pi / 7")

    expected = float(f"{value:.12f}") * 3.141592653589793 / 7
    assert abs(float(reply["decimal"]) - expected) <= 1e-13 * abs(expected)


_alphabet = "0123456789.,+-*/^%!()[]|<>= eipxkmCF°√√×πsqrtlogabstofinmin\"'_\\{}\n"


@settings(max_examples=250, deadline=None)
@given(st.one_of(st.text(_alphabet, max_size=30), st.text(max_size=60)))
def test_any_text_gets_an_answer_or_an_error_with_words(text: str) -> None:
    reply = answer(text)

    assert reply.get("text") or reply["error"]["message"].endswith((".", "…"))
    assert len(text) <= MAX_LENGTH
