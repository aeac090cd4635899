"""Say in plain words why an engine did not start or stopped, without paths: callers read it.

The only place that reads words of a native engine's log; the log itself stays on the machine, below the data folder.
"""

import signal
from typing import Final

_KNOWN: Final = (
    (b"invalid magic", "the file is not a GGUF model"),
    (b"is corrupted or incomplete", "the model file is incomplete; download it again"),
    (b"unknown model architecture", "this engine does not know the model's architecture; a newer one may"),
    (b"No such file or directory", "a file of the model is missing"),
    (b"Permission denied", "a file of the model may not be read"),
    (b"failed to allocate", "there is not enough memory for this model and its context"),
    (b"out of memory", "there is not enough memory for this model and its context"),
    (b"bad_alloc", "there is not enough memory for this model and its context"),
    (b"MemoryError", "there is not enough memory for this model and its context"),
    (b"No module named", "the engine is not installed"),
    (b"not supported", "the engine does not support this model"),
    (b"failed to load model", "the model file cannot be loaded"),
)


def reason_of(exit_status: int | None, log_tail: bytes) -> str:
    """Return the reason: from what the engine logged, else from how it ended (negative: a signal)."""
    if exit_status is not None and exit_status == -signal.SIGKILL:
        return "it was killed, perhaps because the machine ran out of memory"
    for words, reason in _KNOWN:
        if words in log_tail:
            return reason
    if exit_status is None:
        return "it was not ready in time"
    if exit_status < 0:
        return f"it crashed ({_signal_name(-exit_status)})"
    return f"it ended with status {exit_status}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
