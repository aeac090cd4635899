"""Make a tool's output fit to leave the process: capped, valid text, and with a receipt."""

from dataclasses import dataclass, replace

from pydantic_core import to_json

from shared.tools_contract import Artifact, Receipt, ToolError, ToolResult
from tools_api.invoke.tool import OutputFile, ToolOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimits:
    """What one call may give back: characters of content, bytes of data, number and bytes of files."""

    content_chars: int = 100_000
    data_bytes: int = 1024 * 1024
    files: int = 32
    file_bytes: int = 64 * 1024 * 1024


def cap(output: ToolOutput, limits: OutputLimits) -> ToolOutput:
    """Cut what is too much, and say so in the content.

    Raises `ValueError` (pydantic's) if the data is nothing that JSON can say: then the tool is at fault.
    """
    notes: list[str] = []
    content = _text(output.content)
    if len(content) > limits.content_chars:
        notes.append(f"[cut: {len(content) - limits.content_chars} more characters]")
        content = content[: limits.content_chars]
    data = output.data
    if data is not None and len(to_json(data)) > limits.data_bytes:
        notes.append(f"[data left out: more than {limits.data_bytes} bytes]")
        data = None
    files = _kept(output.files, limits)
    if len(files) < len(output.files):
        notes.append(f"[{len(output.files) - len(files)} of {len(output.files)} files left out: too many or too large]")
    error = output.error and ToolError(type=_text(output.error.type), message=_text(output.error.message)[:4000])
    return replace(output, content="\n".join([content, *notes]).lstrip("\n"), data=data, files=files, error=error)


def assemble(output: ToolOutput, artifacts: tuple[Artifact, ...], *, wall_s: float) -> ToolResult:
    """Return the contract's result; the tool's own receipt keeps what only it knows."""
    data_bytes = 0 if output.data is None else len(to_json(output.data))
    bytes_out = len(output.content.encode()) + data_bytes + sum(len(file.content) for file in output.files)
    return ToolResult(
        ok=output.error is None,
        content=output.content,
        data=output.data,
        artifacts=artifacts,
        sources=output.sources,
        error=output.error,
        receipt=output.receipt.model_copy(
            update={"wall_s": round(wall_s, 6), "bytes_out": bytes_out, "files_out": len(output.files)}
        ),
    )


def failed(kind: str, message: str, *, wall_s: float = 0.0) -> ToolResult:
    """Return the result of a call that failed before or beside the tool."""
    receipt = Receipt(wall_s=round(wall_s, 6))
    return ToolResult(ok=False, error=ToolError(type=kind, message=message), receipt=receipt)


def _kept(files: tuple[OutputFile, ...], limits: OutputLimits) -> tuple[OutputFile, ...]:
    kept: list[OutputFile] = []
    room = limits.file_bytes
    for file in files[: limits.files]:
        if len(file.content) <= room:
            kept.append(file)
            room -= len(file.content)
    return tuple(kept)


def _text(text: str) -> str:
    """Replace what is no Unicode text (half of a surrogate pair), which no JSON can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
