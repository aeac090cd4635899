"""What goes over the wire comes back the same, and what is not that is refused without harm."""

import pickle
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools_api.sandbox import Job, Limits, Outcome, SandboxFile
from tools_api.sandbox.remote.wire import (
    BadMessage,
    TreeName,
    decode_job,
    decode_result,
    encode_job,
    encode_result,
)

LIMITS = Limits()
FILES = (SandboxFile("a.txt", b"one"), SandboxFile("b.bin", b"\0\xff" * 10))
TREES = (TreeName(target="/opt/x", version="sha256:1"), TreeName(target="/opt/packages", version=None))
JOB = Job(script="/opt/x/run.py", payload=b"\0code", files=FILES, env={"A_B": "c"}, limits=LIMITS)
OUTCOME = Outcome(
    exit_code=-9,
    stdout=b"out\xff",
    stderr=b"err",
    report=b"\0report",
    files=FILES,
    limit="memory",
    denied=("too large: x",),
    wall_s=1.5,
    cpu_s=0.25,
    peak_memory_bytes=1 << 30,
    bytes_out=99,
)


def _raw_job() -> bytes:
    return b"".join(encode_job(JOB, LIMITS, TREES, live=True))


def _changed(raw: bytes, **changes: object) -> bytes:
    size = int.from_bytes(raw[:4], "big")
    head = orjson.dumps({**orjson.loads(raw[4 : 4 + size]), **changes})
    return len(head).to_bytes(4, "big") + head + raw[4 + size :]


def test_a_job_comes_back_the_same() -> None:
    remote = decode_job(_raw_job())
    assert remote.job == JOB
    assert (remote.trees, remote.live) == (TREES, True)


def test_an_outcome_comes_back_the_same() -> None:
    assert decode_result(encode_result(OUTCOME), LIMITS) == OUTCOME


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": 2},
        {"script": None},
        {"argv": ["/bin/sh"]},
        {"payload": 99},
        {"payload": -1},
        {"files": [{"name": "../a", "size": 23}]},
        {"files": [{"name": "a\0wall_s\x009", "size": 23}]},
        {"env": {"A=B": "c"}},
        {"env": {"A": "c\0d"}},
        {"limits": {}},
        {"limits": {**dict.fromkeys(Limits.__dataclass_fields__, 1.0), "wall_s": -1.0}},
        {"trees": [{"target": "/opt", "version": None, "source": "/etc"}]},
        {"levels": ["off"]},
        {"live": "yes"},
    ],
    ids=str,
)
def test_a_job_that_is_none_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadMessage):
        decode_job(_changed(_raw_job(), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"exit_code": "x"},
        {"exit_code": 1 << 60},
        {"limit": "everything"},
        {"denied": ["x" * 5000]},
        {"denied": ["x"] * 5000},
        {"wall_s": 1e300},
        {"cpu_s": None},
        {"blobs": {"stdout": 1}},
        {"files": [{"name": "/etc/x", "size": 3}, {"name": "b.bin", "size": 20}]},
        {"files": [{"name": "a.txt", "size": -3}, {"name": "b.bin", "size": 26}]},
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_outcome_that_is_none_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadMessage):
        decode_result(_changed(encode_result(OUTCOME), **changes), LIMITS)


@pytest.mark.parametrize(
    "limits",
    [replace(LIMITS, output_bytes=2), replace(LIMITS, max_files=1), replace(LIMITS, max_file_bytes=22)],
    ids=["output", "files", "bytes"],
)
def test_an_outcome_above_the_limits_is_refused(limits: Limits) -> None:
    with pytest.raises(BadMessage):
        decode_result(encode_result(OUTCOME), limits)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_and_nothing_else_happens(raw: bytes) -> None:
    for decode in (decode_job, lambda bytes_: decode_result(bytes_, LIMITS)):
        with pytest.raises(BadMessage):
            decode(raw)


def test_a_pickle_is_bytes_like_any_other() -> None:
    with pytest.raises(BadMessage):
        decode_result(pickle.dumps(OUTCOME.exit_code), LIMITS)
