"""What models are told about the tool: how to call it, what comes back, what is there and what is not.

The first sentence stands alone where a small model is shown no more. The whole stays below some 250 tokens: it is part
of every prompt that offers the tool, also in a context of 8,192.
"""

from collections.abc import Sequence

from tools_api.sandbox import Limits

_MIB = 1 << 20


def describe_tool(limits: Limits, *, python: str, packages: Sequence[str], sessions: bool) -> str:
    """Return the description for this machine; `packages` are those that can be imported."""
    sentences = [
        f"Run Python {python} code in a fresh, isolated sandbox.",
        "Give the whole program as `code`; you get what it prints, the value of its last expression, and its traceback "
        "if it fails.",
        "Files of the workspace are in the current folder, so open them by their name; what the code writes there, "
        "sub-folders included, is returned and is there again in the next call.",
        "Variables do not survive the call" + (" unless you name a `session`." if sessions else "."),
        *_figures(packages),
        _packages(packages),
        "There is no network: nothing can be downloaded.",
        f"Limits: {limits.wall_s:g} s, {limits.memory_bytes // _MIB} MB of memory, "
        f"{limits.max_files} files of together {limits.max_file_bytes // _MIB} MB returned.",
    ]
    return " ".join(sentences)


def _figures(packages: Sequence[str]) -> list[str]:
    if "matplotlib" not in packages:
        return []
    return ["Just draw with matplotlib: every figure is returned as a PNG without being shown or saved."]


def _packages(packages: Sequence[str]) -> str:
    if not packages:
        return "Only the standard library can be imported; nothing can be installed."
    return f"{', '.join(packages)} and the standard library can be imported; nothing else can be installed."
