"""Why an expression has no answer, in words that a model can act on."""


class CalculationError(Exception):
    """An expression that is wrong, undefined or too large; `type` is the stable word for programs."""

    type = "invalid_expression"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidExpression(CalculationError):
    """The text is not an expression that this calculator reads."""


class Undefined(CalculationError):
    """The expression is well formed and has no value: a division by zero, a square root of a length."""

    type = "undefined"


class TooLarge(CalculationError):
    """The result, or a number on the way to it, would be larger than this calculator computes."""

    type = "too_large"
