"""The `calculator` tool: what the model is told about it, and how an answer becomes a tool's output."""

from typing import Any

from shared.logging import get_logger
from shared.tools_contract import Receipt, ToolDefinition, ToolError
from tools_api.calculator.lexer import MAX_LENGTH
from tools_api.calculator.pool import WorkerLost, WorkerPool
from tools_api.invoke.tool import ToolCall, ToolOutput

_log = get_logger("calculator")

_DEFINITION = ToolDefinition(
    name="calculator",
    description=(
        "Calculate a mathematical expression exactly, for example 2**10 + sqrt(144), 15% of 80, 5! or log(100, 10). "
        "It also converts units, as in 5 km to miles."
    ),
    parameters={
        "type": "object",
        "properties": {
            "expression": {
                "type": "string",
                "description": "The expression. log(x) is natural; angles are radians, or degrees as in sin(30°).",
                "minLength": 1,
                "maxLength": MAX_LENGTH,
            }
        },
        "required": ["expression"],
        "additionalProperties": False,
    },
    aliases=("calc", "math", "calculate"),
)
_TIMEOUT = ToolError(type="timeout", message="The calculation takes too long; simplify it or split it into steps.")
_LOST = ToolError(type="too_large", message="The calculation used up the calculator's memory; simplify it.")


class Calculator:
    """Evaluates expressions in the processes of a `WorkerPool`."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    @property
    def definition(self) -> ToolDefinition:
        return _DEFINITION

    async def run(self, call: ToolCall) -> ToolOutput:
        """Return the short answer as content, and `{expression, exact, decimal, unit}` as data."""
        expression: str = call.arguments["expression"]
        try:
            reply = await self._pool.evaluate(expression)
        except TimeoutError:
            return ToolOutput(error=_TIMEOUT)
        except WorkerLost as error:
            _log.warning("calculator_worker_lost", error=str(error))
            return ToolOutput(error=_LOST)
        return _output(expression, reply)


def _output(expression: str, reply: dict[str, Any]) -> ToolOutput:
    receipt = Receipt(cpu_s=reply["cpu_s"], peak_memory_bytes=reply["peak_memory_bytes"])
    if "error" in reply:
        return ToolOutput(error=ToolError.model_validate(reply["error"]), receipt=receipt)
    data = {"expression": expression, "exact": reply["exact"], "decimal": reply["decimal"], "unit": reply["unit"]}
    return ToolOutput(content=reply["text"], data=data, receipt=receipt)
