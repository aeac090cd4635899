"""Says why a run ended before its work was done, in words for the owner of the file that it was at."""

from tools_api.rag.parsing.values import Bounds
from tools_api.rag.values import ParseFailure
from tools_api.sandbox import Outcome

_MIB = 1 << 20


def failure_of(outcome: Outcome, bounds: Bounds) -> ParseFailure:
    """Return why the file that a run was at was not parsed."""
    match outcome.limit:
        case "memory":
            return out_of_memory(bounds)
        case "timeout" | "cpu":
            return timed_out(bounds)
        case "output":
            return ParseFailure(code="too_large", message="It holds more text than one file may have here. Split it.")
        case "files":
            return ParseFailure(code="too_large", message="What is packed into it takes too much space.")
        case None:
            return ParseFailure(code="broken", message="The file is damaged: its parser broke off.", retryable=False)


def timed_out(bounds: Bounds) -> ParseFailure:
    """Return the failure of a file that takes too long."""
    return ParseFailure(
        code="timeout", message=f"Reading it took more than {bounds.timeout_s:g} seconds.", retryable=True
    )


def out_of_memory(bounds: Bounds) -> ParseFailure:
    """Return the failure of a file that takes too much memory."""
    most = bounds.memory_bytes // _MIB
    return ParseFailure(code="memory", message=f"Reading it takes more than {most} MB of memory.", retryable=True)


def forged(reason: str) -> ParseFailure:
    """Return the failure of a file whose parser said what ours never says."""
    return ParseFailure(code="broken", message=f"The file could not be read: its parser answered with {reason}.")


def unavailable(reason: str) -> ParseFailure:
    """Return the failure of a file that nobody may read now."""
    return ParseFailure(code="unavailable", message=reason, retryable=True)
