"""Says what went wrong in a model's code. Runs inside the sandbox, and is only imported once something did."""

from __future__ import annotations

import errno
import linecache
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_MOST = 16_000
_MOST_OF_MESSAGE = 1000
_LIMIT_OF_ERRNO = {
    errno.ENOSPC: "files",
    errno.EFBIG: "files",
    errno.EDQUOT: "files",
    errno.EMFILE: "files",
    errno.EAGAIN: "processes",
    errno.ENOMEM: "memory",
}


def describe(error: BaseException, texts: Mapping[str, str]) -> dict[str, str]:
    """Report an exception the way Python prints it, without our own frames; `texts` has the code by its names."""
    if isinstance(error, SystemExit):
        return _describe_exit(error)
    for name, text in texts.items():
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    own = _frames_of_the_code(error.__traceback__, texts)
    try:
        lines = traceback.format_exception(type(error), error, own)
        message = str(error)
    except BaseException:  # noqa: BLE001 - `__str__` is the code's too
        lines, message = [f"{type(error).__name__}: <no text>\n"], ""
    fields = {
        "traceback": shortened("".join(lines), _MOST),
        "error": type(error).__name__,
        "message": shortened(message, _MOST_OF_MESSAGE),
    }
    if limit := _limit_behind(error):
        fields["limit"] = limit
    if isinstance(error, OSError) and (name := errno.errorcode.get(error.errno or 0)):
        fields["errno"] = name
    return fields


def shortened(text: str, most: int) -> str:
    """Leave out the middle of what is too long, and say so."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n… ({len(text) - most} characters left out) …\n{text[-most // 2 :]}"


def _describe_exit(request: SystemExit) -> dict[str, str]:
    code = request.code
    if code is None or code == 0:
        return {}
    status = str(code & 0xFF) if isinstance(code, int) else "1"
    return {"error": "SystemExit", "message": f"the code ended itself with sys.exit({code!r})", "exit": status}


def _frames_of_the_code(frames: TracebackType | None, texts: Mapping[str, str]) -> TracebackType | None:
    while frames and frames.tb_frame.f_code.co_filename not in texts:
        frames = frames.tb_next
    return frames


def _limit_behind(error: BaseException) -> str | None:
    """Say which limit an exception speaks of, if any."""
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError) and error.errno is not None:
        return _LIMIT_OF_ERRNO.get(error.errno)
    return "processes" if isinstance(error, RuntimeError) and "new thread" in str(error) else None
