"""What a run says is not believed, and its death is the fault of one file. With a level that says what it is told."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tools_api.rag.parsing import Bounds, Chunking, ParseInput, Parser
from tools_api.rag.parsing.values import Result
from tools_api.rag.values import ParsedDocument, ParseFailure
from tools_api.sandbox import Abilities, Job, Level, Limits, Outcome, Sandbox, SandboxOptions, Standing
from tools_api.sandbox.outcome import OutputListener

GOOD = {"media_type": "text/plain", "title": "T", "pages": None, "metadata": {"author": "Ada"}}
CHUNK = ["text", 0, 4, None, None, ["A"]]


def told(number: int, *, document: Any = GOOD, chunks: Any = (CHUNK,), end: bool = True) -> list[Any]:
    lines: list[Any] = [{"file": number}, {"file": number, "document": document}]
    lines.append({"file": number, "chunks": list(chunks)})
    return [*lines, {"file": number, "end": True}] if end else lines


Say = Callable[[int], tuple[Sequence[Any], Outcome]]


class Scripted:
    """A level whose runs print what `say` returns for their number, and end as it says."""

    name: Level = "wasi"
    abilities = Abilities(programs=False, native_code=False)

    def __init__(self, say: Say, *, stays: bool = False) -> None:
        self.jobs: list[list[str]] = []
        self._say = say
        self._stays = stays
        self.left = False

    async def probe(self) -> Standing:
        return Standing(memory="watchdog", python="3.11")

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        self.jobs.append([file["name"] for file in json.loads(job.payload)["files"]])
        lines, outcome = self._say(len(self.jobs))
        whole = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
        assert on_output is not None
        for start in range(0, len(whole), 7):
            on_output("stdout", whole[start : start + 7])
        on_output("stderr", b"noise")
        if self._stays:
            try:
                await asyncio.Event().wait()
            finally:
                self.left = True
        return outcome

    async def aclose(self) -> None:
        return


DONE = Outcome(exit_code=0)


async def results_of(level: Scripted, names: Sequence[str] = ("a",), **bounds: Any) -> dict[str, Result]:
    sandbox = Sandbox(SandboxOptions(), levels=(level,))
    parser = Parser(sandbox, bounds=Bounds(**bounds))
    files = [ParseInput(id=name, name=name, content=b"x") for name in names]
    try:
        return {id_: result async for id_, result in parser.parse(files, Chunking(tokens=64))}
    finally:
        await sandbox.aclose()


def code(result: Result) -> str:
    return result.code if isinstance(result, ParseFailure) else "parsed"


async def test_results_are_what_the_run_says() -> None:
    result = (await results_of(Scripted(lambda _: (told(0), DONE))))["a"]
    assert isinstance(result, ParsedDocument)
    assert (result.title, result.metadata, result.chunks[0].headings) == ("T", {"author": "Ada"}, ("A",))


async def test_a_file_that_kills_its_run_fails_and_the_others_go_on_in_another() -> None:
    def say(run: int) -> tuple[list[Any], Outcome]:
        if run == 1:
            return [*told(0), {"file": 1}], Outcome(exit_code=-11)
        return told(0), DONE

    level = Scripted(say)
    results = await results_of(level, "abc")
    assert {name: code(result) for name, result in results.items()} == {"a": "parsed", "b": "broken", "c": "parsed"}
    assert level.jobs == [["a", "b", "c"], ["c"]]


async def test_what_meets_a_limit_after_others_has_its_turn_first_in_another_run() -> None:
    def say(run: int) -> tuple[list[Any], Outcome]:
        return ([*told(0), {"file": 1}] if run == 1 else [{"file": 0}]), Outcome(exit_code=None, limit="memory")

    level = Scripted(say)
    results = await results_of(level, "ab")
    assert {name: code(result) for name, result in results.items()} == {"a": "parsed", "b": "memory"}
    assert level.jobs == [["a", "b"], ["b"]]
    failure = results["b"]
    assert isinstance(failure, ParseFailure)
    assert failure.retryable


async def test_a_run_that_says_nothing_fails_one_file_at_a_time() -> None:
    level = Scripted(lambda _: ([], Outcome(exit_code=1)))
    assert [code(result) for result in (await results_of(level, "ab")).values()] == ["broken", "broken"]


async def test_a_file_that_takes_too_long_is_given_up_and_its_run_ended() -> None:
    level = Scripted(lambda _: ([{"file": 0}], DONE), stays=True)
    assert code((await results_of(level, timeout_s=-1.9))["a"]) == "timeout"
    assert level.left


@pytest.mark.parametrize(
    "lines",
    [
        [b"no json\n"],
        [b"[1]\n"],
        [{"file": 1}],
        [{"file": 0}, {"file": 0, "end": True}],
        [{"file": 0}, {"file": 0, "document": GOOD}, {"file": 0, "end": True}],
        told(0, chunks=[["text", 0, 5, None, None, []]]),
        told(0, chunks=[["text", 3, 7, None, None, []]]),
        told(0, chunks=[CHUNK, CHUNK]),
        told(0, chunks=[["te\0t", 0, 4, None, None, []]]),
        told(0, chunks=[["    ", 0, 4, None, None, []]]),
        told(0, chunks=[["x" * 9000, 0, 9000, None, None, []]]),
        told(0, chunks=[["text", 0, 4, 3, 2, []]]),
        told(0, chunks=[["text", 0, 4, -1, -1, []]]),
        told(0, chunks=[["text", 0, 4, None, None, ["h" * 500]]]),
        told(0, chunks=[["text", True, 4, None, None, {}]]),
        told(0, chunks=[["text"]]),
        told(0, document={**GOOD, "media_type": "x\r\nSet-Cookie: a"}),
        told(0, document={**GOOD, "title": 7}),
        told(0, document={**GOOD, "metadata": {"a": {"lc": 1}}}),
        told(0, document={**GOOD, "metadata": {"a": 1 << 60}}),
        told(0, document={**GOOD, "metadata": {str(n): 1 for n in range(100)}}),
        told(0, document={**GOOD, "pages": 1e400}),
        [{"file": 0}, {"file": 0, "failure": ["os.system", "x"]}],
        [{"file": 0}, {"file": 0, "failure": ["broken", "x" * 9999]}],
        [{"file": 0}, b'{"file": 0, "failure": ["broken", "\\ud800"]}\n'],
        [b'{"file": 0' + b" " * (3 << 20)],
    ],
)
async def test_what_is_forged_is_refused(lines: list[Any]) -> None:
    assert code((await results_of(Scripted(lambda _: (lines, DONE))))["a"]) == "broken"


async def test_what_is_forged_between_two_files_is_the_fault_of_neither() -> None:
    level = Scripted(lambda run: ([*told(0), b"stray\n", {"file": 1}] if run == 1 else told(0), DONE))
    results = await results_of(level, "ab")
    assert {name: code(result) for name, result in results.items()} == {"a": "parsed", "b": "parsed"}
    assert level.jobs == [["a", "b"], ["b"]]


async def test_more_text_than_a_file_may_have_is_refused() -> None:
    chunks = [["x" * 900, n * 901, n * 901 + 900, None, None, []] for n in range(50)]
    result = (await results_of(Scripted(lambda _: (told(0, chunks=chunks), DONE)), characters=10_000))["a"]
    assert code(result) == "broken"


async def test_files_are_batched_by_number_and_by_size() -> None:
    def say(_run: int) -> tuple[list[Any], Outcome]:
        return [line for number in range(64) for line in told(number)], DONE

    level = Scripted(say)
    await results_of(level, [str(number) for number in range(70)])
    assert [len(names) for names in level.jobs] == [64, 6]


async def test_who_stops_listening_stops_the_run() -> None:
    level = Scripted(lambda _: (told(0), DONE), stays=True)
    sandbox = Sandbox(SandboxOptions(), levels=(level,))
    results = Parser(sandbox, bounds=Bounds()).parse(
        [ParseInput(id=name, name=name, content=b"x") for name in "ab"], Chunking()
    )
    assert (await anext(results))[0] == "a"
    await results.aclose()
    assert level.left
    await sandbox.aclose()
