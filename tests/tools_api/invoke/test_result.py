"""Caps and receipts."""

import pytest

from shared.tools_contract import Receipt, ToolError
from tools_api.invoke.result import OutputLimits, assemble, cap
from tools_api.invoke.tool import OutputFile, ToolOutput

LIMITS = OutputLimits(content_chars=10, data_bytes=20, files=2, file_bytes=100)


def file(size: int) -> OutputFile:
    return OutputFile(name="a.txt", media_type="text/plain", content=b"x" * size)


def test_small_output_is_left_alone() -> None:
    output = ToolOutput(content="short", data={"a": 1}, files=(file(1),))

    assert cap(output, LIMITS) == output


def test_long_content_is_cut_with_a_note() -> None:
    assert cap(ToolOutput(content="x" * 25), LIMITS).content == "x" * 10 + "\n[cut: 15 more characters]"


def test_large_data_is_left_out_with_a_note() -> None:
    capped = cap(ToolOutput(content="see data", data="y" * 100), LIMITS)

    assert capped.data is None
    assert "data left out" in capped.content


def test_files_over_number_or_size_are_left_out_with_a_note() -> None:
    too_many = cap(ToolOutput(files=(file(1), file(1), file(1))), LIMITS)
    too_large = cap(ToolOutput(files=(file(200), file(50))), LIMITS)

    assert (len(too_many.files), too_many.content) == (2, "[1 of 3 files left out: too many or too large]")
    assert [len(kept.content) for kept in too_large.files] == [50]


def test_half_a_character_is_replaced() -> None:
    capped = cap(ToolOutput(content="a\ud800b", error=ToolError(type="x", message="\udfff")), LIMITS)

    assert capped.content == "a?b"
    assert capped.error is not None
    assert capped.error.message == "?"


def test_data_that_json_cannot_say_is_the_tools_fault() -> None:
    with pytest.raises(ValueError, match="serialize"):
        cap(ToolOutput(data=object()), LIMITS)


def test_the_receipt_keeps_what_the_tool_knows_and_adds_time_and_bytes() -> None:
    output = ToolOutput(content="äb", data=[1], files=(file(7),), receipt=Receipt(cpu_s=0.5, denied=("network",)))

    receipt = assemble(output, (), wall_s=1.25).receipt

    assert (receipt.wall_s, receipt.cpu_s, receipt.denied) == (1.25, 0.5, ("network",))
    assert (receipt.bytes_out, receipt.files_out) == (3 + 3 + 7, 1)
