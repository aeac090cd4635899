"""Runs a model's code inside the sandbox as an interactive session would, and reports what it came to.

A script for the supervisor's fork, never imported by the service. stdout and stderr go straight to the host; the
report holds what those don't: the value of the last expression, the traceback of our user's frames alone, which limit
the code ran into, what it was refused. Everything expensive is imported only when the code fails or draws.
"""

from __future__ import annotations

import _ast  # `ast` imports half of the standard library
import errno
import os
import site
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, TracebackType
    from typing import Any

HERE = os.path.dirname(__file__)  # noqa: PTH120 - pathlib costs milliseconds here
PACKAGES = os.environ.get("PYTHONPATH", "")
NAME = "<code>"
MAX_VALUE = 16_000
MAX_TRACEBACK = 16_000

Fields = dict[str, str]

_LIMIT_OF_ERRNO = {
    errno.ENOSPC: "files",
    errno.EFBIG: "files",
    errno.EDQUOT: "files",
    errno.EMFILE: "files",
    errno.EAGAIN: "processes",
    errno.ENOMEM: "memory",
}
_AF_UNIX = 1


def main(payload: bytes, report: Callable[[bytes], None]) -> None:
    """Run the code in `payload`, save what it drew, and report."""
    code = payload.decode()
    denied: set[str] = set()
    _prepare(denied)
    fields: Fields = {}
    try:
        value = _run(code)
        if value is not None:
            fields["value"] = _shortened(repr(value), MAX_VALUE)
    except SystemExit as request:
        _take_exit(request, fields)
    except BaseException as error:  # noqa: BLE001 - whatever the code raises is its result
        _describe(error, code, fields)
    _finish(fields, code)
    for number, what in enumerate(sorted(denied)):
        fields[f"denied{number}"] = what
    _flush()
    report(b"\0".join(_clean(part) for pair in fields.items() for part in pair))
    os._exit(int(fields.get("exit", "1" if "error" in fields else "0")))


def _prepare(denied: set[str]) -> None:
    """Make the process look like a Python session with the packages on its path."""
    for path in (PACKAGES, HERE):
        if os.path.isdir(path):  # noqa: PTH112 - pathlib costs milliseconds here
            sys.path.append(path)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    sys.argv = [NAME]
    site.setquit()
    site.sethelper()
    for stream in (sys.stdout, sys.stderr):
        # what was printed before a limit struck must be out; names of files may hold anything
        reconfigure: Callable[..., None] = getattr(stream, "reconfigure")  # noqa: B009 - TextIO does not know it
        reconfigure(line_buffering=True, errors="backslashreplace")
    import figures

    figures.watch()
    _link_font_cache()
    sys.addaudithook(_note_refusals(denied))


def _link_font_cache() -> None:
    """Give matplotlib the list of fonts that was made at installation; looking for them takes 100 ms."""
    shipped = f"{PACKAGES}/.matplotlib"
    folder = os.environ.get("MPLCONFIGDIR")
    if not folder or not os.path.isdir(shipped):  # noqa: PTH112
        return
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    for name in os.listdir(shipped):  # noqa: PTH208
        os.symlink(f"{shipped}/{name}", f"{folder}/{name}")  # noqa: PTH211


def _note_refusals(denied: set[str]) -> Callable[[str, tuple[object, ...]], None]:
    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if (event == "socket.__new__" and arguments[1] != _AF_UNIX) or event == "socket.getaddrinfo":
            denied.add("network")

    return hook


def _run(code: str) -> object:
    """Execute the code as `__main__`; return the value of its last expression, None if it ends with something else."""
    body, last = _compiled(code)
    module = type(sys)("__main__")
    sys.modules["__main__"] = module
    exec(body, module.__dict__)  # noqa: S102 - this is what the sandbox is for
    return eval(last, module.__dict__) if last else None  # noqa: S307


def _compiled(code: str) -> tuple[CodeType, CodeType | None]:
    tree: Any = compile(code, NAME, "exec", _ast.PyCF_ONLY_AST)
    last = None
    if tree.body and isinstance(end := tree.body[-1], _ast.Expr):
        tree.body.pop()
        last = compile(_ast.Expression(end.value), NAME, "eval")
    return compile(tree, NAME, "exec"), last


def _take_exit(request: SystemExit, fields: Fields) -> None:
    code = request.code
    if code is None or code == 0:
        return
    fields["error"] = "SystemExit"
    fields["message"] = f"the code ended itself with sys.exit({code!r})"
    fields["exit"] = str(code & 0xFF) if isinstance(code, int) else "1"


def _describe(error: BaseException, code: str, fields: Fields) -> None:
    """Report an exception the way Python prints it, without our own frames."""
    import linecache
    import traceback

    linecache.cache[NAME] = (len(code), None, code.splitlines(keepends=True), NAME)
    own = _frames_of_the_code(error.__traceback__)
    try:
        lines = traceback.format_exception(type(error), error, own)
        message = str(error)
    except BaseException:  # noqa: BLE001 - `__str__` is the code's too
        lines, message = [f"{type(error).__name__}: <no text>\n"], ""
    fields["traceback"] = _shortened("".join(lines), MAX_TRACEBACK)
    fields["error"] = type(error).__name__
    fields["message"] = _shortened(message, 1000)
    if limit := _limit_behind(error):
        fields["limit"] = limit


def _frames_of_the_code(traceback: TracebackType | None) -> TracebackType | None:
    while traceback and traceback.tb_frame.f_code.co_filename != NAME:
        traceback = traceback.tb_next
    return traceback


def _limit_behind(error: BaseException) -> str | None:
    """Say which limit an exception speaks of, if any."""
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError) and error.errno is not None:
        return _LIMIT_OF_ERRNO.get(error.errno)
    return "processes" if isinstance(error, RuntimeError) and "new thread" in str(error) else None


def _finish(fields: Fields, code: str) -> None:
    """Save the figures and let threads and exit functions end, as a script's end does."""
    import atexit

    import figures

    run_exit_functions: Callable[[], None] = getattr(atexit, "_run_exitfuncs")  # noqa: B009 - private, and the only way

    try:
        figures.save_open()
        threading: Any = sys.modules.get("threading")
        if threading:
            threading._shutdown()  # what the interpreter calls before its exit functions
        run_exit_functions()
    except BaseException as error:  # noqa: BLE001
        if "error" not in fields:
            _describe(error, code, fields)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # the code has closed it


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n… ({len(text) - most} characters left out) …\n{text[-most // 2 :]}"


def _clean(text: str) -> bytes:
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")
