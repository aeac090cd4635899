"""Runs a model's code inside the sandbox as an interactive session would, and reports what it came to.

A script for the supervisor's fork, never imported by the service; `main` for a single run, `session` for one call after
another in the same interpreter. stdout and stderr go straight to the host; the report holds what those don't: the value
of the last expression, the traceback of our user's frames alone, which limit the code ran into, what it was refused.
Everything expensive is imported only when the code fails or draws.
"""

from __future__ import annotations

import _ast  # `ast` imports half of the standard library
import os
import signal
import site
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any, ClassVar, NoReturn

HERE = os.path.dirname(__file__)  # noqa: PTH120 - pathlib costs milliseconds here
PACKAGES = os.environ.get("PYTHONPATH", "")
NAME = "<code>"
MAX_VALUE = 16_000

Fields = dict[str, str]

_AF_UNIX = 1


def main(payload: bytes, report: Callable[[bytes], None]) -> NoReturn:
    """Run the code in `payload`, save what it drew, and report."""
    denied: set[str] = set()
    _prepare(denied)
    code = Code(NAME, payload.decode())
    fields = _result_of(code, _new_main())
    _finish(fields)
    _flush()
    report(_encoded(fields, denied))
    os._exit(int(fields.get("exit", "1" if "error" in fields else "0")))


def session(receive: Callable[[], bytes], begin: Callable[[], None], report: Callable[[bytes], None]) -> NoReturn:
    """Run and report one call's code after another in one `__main__`. An interrupt counts only while code runs."""
    denied: set[str] = set()
    _prepare(denied)
    module = _new_main()
    process = os.getpid()
    number = 0
    while True:
        number += 1
        code = Code(f"<call {number}>", receive().decode())
        denied.clear()
        fields = _interruptible_result_of(code, module, begin)
        _flush()
        if os.getpid() != process:
            os._exit(0)  # a fork that the code made has come to its end
        report(_encoded(fields, denied))


class Code:
    """What a call runs, under the name that tracebacks have for it."""

    texts: ClassVar[dict[str, str]] = {}
    """Of all calls, by name, for tracebacks through functions of earlier ones."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = self.texts[name] = text


def _prepare(denied: set[str]) -> None:
    """Make the process look like a Python session with the packages on its path."""
    for path in (PACKAGES, HERE):
        if os.path.isdir(path):  # noqa: PTH112 - pathlib costs milliseconds here
            sys.path.append(path)
    sys.argv = [NAME]
    site.setquit()
    site.sethelper()
    for stream in (sys.stdout, sys.stderr):
        # what was printed before a limit struck must be out; names of files may hold anything
        reconfigure: Callable[..., None] = getattr(stream, "reconfigure")  # noqa: B009 - TextIO does not know it
        reconfigure(line_buffering=True, errors="backslashreplace")
    import figures
    import fonts

    figures.watch()
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - not before, lest a file of the workspace be taken for one of ours
    fonts.link_cache(PACKAGES)
    del sys.modules["fonts"]  # the code may have a module of that name
    sys.addaudithook(_note_refusals(denied))


def _note_refusals(denied: set[str]) -> Callable[[str, tuple[object, ...]], None]:
    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if (event == "socket.__new__" and arguments[1] != _AF_UNIX) or event == "socket.getaddrinfo":
            denied.add("network")

    return hook


def _new_main() -> ModuleType:
    module = type(sys)("__main__")
    sys.modules["__main__"] = module
    return module


def _interruptible_result_of(code: Code, module: ModuleType, begin: Callable[[], None]) -> Fields:
    fields: Fields = {}
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        begin()
        fields = _result_of(code, module)
        _save_figures(fields)
    except KeyboardInterrupt as late:  # it came when the code's own handlers were behind it
        _become_deaf()
        _describe(late, fields)
    _become_deaf()
    return fields


def _become_deaf() -> None:
    while True:
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:
            continue
        return


def _result_of(code: Code, module: ModuleType) -> Fields:
    fields: Fields = {}
    try:
        value = _run(code, module)
        if value is not None:
            fields["value"] = _shown(repr(value))
    except BaseException as error:  # noqa: BLE001 - whatever the code raises is its result
        _describe(error, fields)
    return fields


def _run(code: Code, module: ModuleType) -> object:
    """Execute the code as `__main__`; return the value of its last expression, None if it ends with something else."""
    body, last = _compiled(code)
    exec(body, module.__dict__)  # noqa: S102 - this is what the sandbox is for
    return eval(last, module.__dict__) if last else None  # noqa: S307


def _compiled(code: Code) -> tuple[CodeType, CodeType | None]:
    tree: Any = compile(code.text, code.name, "exec", _ast.PyCF_ONLY_AST)
    last = None
    if tree.body and isinstance(end := tree.body[-1], _ast.Expr):
        tree.body.pop()
        last = compile(_ast.Expression(end.value), code.name, "eval")
    return compile(tree, code.name, "exec"), last


def _finish(fields: Fields) -> None:
    """Save the figures and let threads and exit functions end, as a script's end does."""
    import atexit

    run_exit_functions: Callable[[], None] = getattr(atexit, "_run_exitfuncs")  # noqa: B009 - private, and the only way

    _save_figures(fields)
    try:
        threading: Any = sys.modules.get("threading")
        if threading:
            threading._shutdown()  # what the interpreter calls before its exit functions
        run_exit_functions()
    except BaseException as error:  # noqa: BLE001
        if "error" not in fields:
            _describe(error, fields)


def _save_figures(fields: Fields) -> None:
    import figures

    try:
        figures.save_open()
    except BaseException as error:  # noqa: BLE001 - they are the code's
        if "error" not in fields:
            _describe(error, fields)


def _describe(error: BaseException, fields: Fields) -> None:
    fields.update(_failure_report().describe(error, Code.texts))


def _shown(value: str) -> str:
    return value if len(value) <= MAX_VALUE else _failure_report().shortened(value, MAX_VALUE)


def _failure_report() -> ModuleType:
    """Import our own module, whatever the workspace has of that name."""
    sys.path.insert(0, HERE)
    try:
        import failure_report
    finally:
        sys.path.remove(HERE)  # the first one
    return failure_report


def _encoded(fields: Fields, denied: set[str]) -> bytes:
    for number, what in enumerate(sorted(denied)):
        fields[f"denied{number}"] = what
    return b"\0".join(_clean(part) for pair in fields.items() for part in pair)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # the code has closed it


def _clean(text: str) -> bytes:
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")
