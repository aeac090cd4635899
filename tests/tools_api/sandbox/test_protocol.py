"""The host believes nothing that comes through the result pipe."""

import pytest

from tools_api.sandbox.inside.supervisor import decode, encode
from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, SandboxFile
from tools_api.sandbox.protocol import BrokenAnswer, decode_answer, decode_body, decode_header, encode_job

LIMITS = Limits(max_files=2, max_file_bytes=100)
GOOD = [("exit", "0"), ("cpu_s", "0.1"), ("peak_bytes", "1024"), ("report", "2")]


def _raw(fields: list[tuple[str, str]], tail: bytes = b"{}") -> bytes:
    return b"H" + encode(fields) + tail


def test_a_supervisors_answer_is_understood() -> None:
    answer = decode_answer(_raw([*GOOD, ("file", "3:a/b.txt"), ("refused", "x")], b"{}abc"), LIMITS)
    assert answer.exit_code == 0
    assert answer.report == b"{}"
    assert answer.files == (SandboxFile("a/b.txt", b"abc"),)
    assert answer.refused == ("x",)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"H",
        b"X" + encode(GOOD),
        b"H" + (1 << 62).to_bytes(8, "big"),
        b"H" + encode(GOOD)[:-3],
        _raw([("exit", "0")]),
        _raw([*GOOD[1:], ("exit", "zero")]),
        _raw([*GOOD[:3], ("report", "-5")]),
        _raw([*GOOD[:3], ("report", "9" * 5000)]),
        _raw([("cpu_s", "0"), ("exit", "0"), ("peak_bytes", "1e99"), ("report", "0")]),
        _raw([*GOOD, ("file", "50:a")]),
        _raw([*GOOD, ("file", "-1:a")]),
        _raw([*GOOD, ("file", "101:a")], b"{}" + bytes(101)),
        _raw([*GOOD, *([("file", "0:a")] * 3)]),
        b"H" + (3).to_bytes(8, "big") + b"a\0b\0c"[:3],
        b"H" + (4).to_bytes(8, "big") + b"\x80\x04\x95.",
    ],
)
def test_a_forged_answer_is_no_answer(raw: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        decode_answer(raw, LIMITS)


@pytest.mark.parametrize("cpu", ["nan", "inf", "-1"])
def test_absurd_figures_are_refused(cpu: str) -> None:
    with pytest.raises(BrokenAnswer):
        decode_answer(_raw([("exit", "0"), ("cpu_s", cpu), ("peak_bytes", "1"), ("report", "2")]), LIMITS)


def test_a_pickle_in_the_report_stays_bytes() -> None:
    answer = decode_answer(_raw([*GOOD[:3], ("report", "4")], b"\x80\x04N."), LIMITS)
    assert answer.report == b"\x80\x04N."


def test_a_job_reaches_the_supervisor_as_it_was() -> None:
    job = Job(argv=("/bin/echo", "ä b"), payload=b"\0\1", files=(SandboxFile("x:y", b"abc"),))
    header, payload, content = encode_job(job, LIMITS)
    assert int.from_bytes(header[:8], "big") == len(header) - 8
    fields = decode(header[8:])
    assert [value for key, value in fields if key == "arg"] == ["/bin/echo", "ä b"]
    assert ("file", "3:x:y") in fields
    assert (payload, content) == (b"\0\1", b"abc")


def test_a_sessions_answer_repeats_its_word_and_says_its_end() -> None:
    header = decode_header(encode([*GOOD, ("session", "w"), ("over", "1"), ("file", "3:a")])[8:], LIMITS)
    answer = decode_body(header, b"{}abc")
    assert (header.body_bytes, answer.word, answer.over) == (5, "w", True)
    assert answer.files == (SandboxFile("a", b"abc"),)


@pytest.mark.parametrize(
    "head", [b"", b"\0", b"a\0b\0c", b"exit\0zero", encode([*GOOD, ("file", "60:a"), ("file", "60:b")])[8:]]
)
def test_a_forged_header_is_none(head: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        decode_body(decode_header(head, LIMITS), b"{}")


def test_the_first_call_of_a_session_is_a_job_with_its_word() -> None:
    header, *_ = encode_job(Job(script="/opt/x.py"), LIMITS, word="w")
    assert dict(decode(header[8:]))["session"] == "w"
