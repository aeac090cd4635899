"""What to say to a model whose code met a limit: which one, how much it is, and what to do instead."""

from collections.abc import Callable, Sequence

from tools_api.python_coder.limits import ARGUMENTS, MARGIN_S
from tools_api.sandbox import Limits

_MIB = 1 << 20


def limit_words(limit: str, limits: Limits, most: Limits, *, errno: str | None, denied: Sequence[str]) -> str:
    """Say that `limit` was met. `errno` (`ENOSPC`) and what was `denied` tell which of the limits of files it was."""
    words = _WORDS[_which_of_files(errno, denied) if limit == "files" else limit]
    return words(limits) + _how_to_get_more(limit, limits, most)


def _which_of_files(errno: str | None, denied: Sequence[str]) -> str:
    if errno in {"EMFILE", "ENFILE"}:
        return "open_files"
    if errno == "EFBIG":
        return "file_size"
    if errno is None and any(reason.startswith("too many files") for reason in denied):
        return "files"
    if errno is None and any(reason.startswith("too large") for reason in denied):
        return "files_size"
    return "space"


def _timeout(limits: Limits) -> str:
    return (
        f"The code did not finish within {limits.wall_s:.3g} s and was stopped. "
        "Do less, use a faster method, or split the work into several calls."
    )


def _cpu(limits: Limits) -> str:
    return (
        f"The code used more than {limits.cpu_s:.3g} s of processor time, all its processes together, and was stopped. "
        "Do less, or use fewer processes."
    )


def _memory(limits: Limits) -> str:
    return (
        f"The code needed more than {limits.memory_bytes // _MIB} MB of memory. "
        "Work on smaller pieces or with smaller data types."
    )


def _output(limits: Limits) -> str:
    return (
        f"The code printed more than {limits.output_bytes // 1024} KB and was stopped. Print less, or write to a file."
    )


def _processes(limits: Limits) -> str:
    return f"The code started more than {limits.processes} processes and threads at once. Use fewer."


def _space(limits: Limits) -> str:
    return (
        f"The code filled its space for files: {limits.workspace_bytes // _MIB} MB in the current folder, "
        f"{limits.scratch_bytes // _MIB} MB in /tmp, {limits.inodes} files. "
        "Write fewer or smaller ones, or delete some."
    )


def _file_size(limits: Limits) -> str:
    return f"The code wrote a file of more than {limits.file_bytes // _MIB} MB a file. Write smaller ones."


def _open_files(limits: Limits) -> str:
    return f"The code had more than {limits.open_files} files open at once. Close them, say by `with open(…)`."


def _files(limits: Limits) -> str:
    return (
        f"The code made more files than the {limits.max_files} that a run returns; the rest is lost. "
        "Write fewer, or put them into one zip file."
    )


def _files_size(limits: Limits) -> str:
    return (
        f"The code made files of more than the {limits.max_file_bytes // _MIB} MB that a run returns; "
        "what did not fit is lost. Write smaller ones, or compress them."
    )


_WORDS: dict[str, Callable[[Limits], str]] = {
    "timeout": _timeout,
    "cpu": _cpu,
    "memory": _memory,
    "output": _output,
    "processes": _processes,
    "space": _space,
    "file_size": _file_size,
    "open_files": _open_files,
    "files": _files,
    "files_size": _files_size,
}


def _how_to_get_more(limit: str, limits: Limits, most: Limits) -> str:
    """Name the arguments that the call has lowered itself, and how far they go."""
    if limit == "timeout":
        lowered = limits.wall_s + MARGIN_S < most.wall_s  # else it was the caller's deadline
        more = [f"timeout up to {most.wall_s:g}"] if lowered else []
    else:
        names = {"files": ("files", "files_mb", "workspace_mb"), "memory": ("memory_mb",), "output": ("output_kb",)}
        more = [
            f"limits.{item.name} up to {item.most(most):g}"
            for item in ARGUMENTS
            if item.name in names.get(limit, (limit, f"{limit}_s")) and item.most(limits) < item.most(most)
        ]
    return f" A call may ask for more: {', '.join(more)}." if more else ""
