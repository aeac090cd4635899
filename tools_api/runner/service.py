"""What a runner does: says how its sandbox stands, takes jobs that fit its scripts, and runs them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.asgi import openai_error_body
from shared.errors import Conflict, InvalidRequest, TwinportError
from shared.sse import Frames
from tools_api.sandbox import Job, Limits, ReadOnlyTree, Sandbox, SandboxUnavailable
from tools_api.sandbox.remote.client import RunnerReport
from tools_api.sandbox.remote.trees import tree_names
from tools_api.sandbox.remote.wire import PROTOCOL, BadMessage, Kind, TreeName, decode_job, encode_result, frame

_WAIT_S = 2.0
"""What a job may wait for its slot beyond its own time; who sent it has slots too."""


class ScriptsDiffer(Conflict):
    """The job needs scripts or packages that this runner does not have, or not in that version."""

    code = "scripts_differ"


@dataclass(frozen=True, slots=True)
class AcceptedJob:
    """A job with this runner's own trees; `live` asks for its output as it comes."""

    job: Job
    live: bool


class Runner:
    """Runs jobs in a `Sandbox` that someone else starts and closes; `trees` are all that jobs may name."""

    def __init__(self, sandbox: Sandbox, trees: Sequence[ReadOnlyTree]) -> None:
        self._sandbox = sandbox
        self._names = {name.target: name for name in tree_names(trees)}
        self._trees = {tree.target: tree for tree in trees}

    @property
    def limits(self) -> Limits:
        """What one run may use at most."""
        return self._sandbox.limits

    @property
    def is_available(self) -> bool:
        """Say whether the sandbox works."""
        return self._sandbox.report.available

    def report(self) -> RunnerReport:
        """Say how the sandbox stands and which scripts there are."""
        report = self._sandbox.report
        return RunnerReport(
            protocol=PROTOCOL,
            available=report.available,
            level=report.level,
            reason=report.reason and report.reason[:1000],
            memory=report.memory,
            python=report.python,
            checks=dict(report.checks),
            trees=list(self._names.values()),
        )

    def must_be_available(self) -> None:
        """Refuse before a body is read. Raises `SandboxUnavailable`."""
        if not self.is_available:
            raise SandboxUnavailable(f"This runner can't run code safely: {self._sandbox.report.reason}.")

    def accept(self, raw: bytes) -> AcceptedJob:
        """Read a job. Raises `InvalidRequest`, `ScriptsDiffer`."""
        try:
            remote = decode_job(raw)
        except BadMessage as error:
            raise InvalidRequest(f"This is no job as version {PROTOCOL} of the protocol has it: {error}.") from None
        trees = tuple(self._own(name) for name in remote.trees)
        return AcceptedJob(replace(remote.job, trees=trees), remote.live)

    async def frames(self, accepted: AcceptedJob) -> Frames:
        """Run a job and yield the frames of its answer. Closing the stream stops the run."""
        outputs: asyncio.Queue[bytes | None] = asyncio.Queue()  # bounded by the job's own limit of output
        limits = (accepted.job.limits or self.limits).within(self.limits)
        yield frame(Kind.ALIVE)
        work = asyncio.create_task(
            self._sandbox.run(
                accepted.job,
                within_s=limits.wall_s + _WAIT_S,
                on_output=(lambda stream, content: outputs.put_nowait(_output(stream, content)))
                if accepted.live
                else None,
            )
        )
        work.add_done_callback(lambda _: outputs.put_nowait(None))
        try:
            while (output := await outputs.get()) is not None:
                yield output
            yield frame(Kind.RESULT, encode_result(await work))
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def _own(self, name: TreeName) -> ReadOnlyTree:
        if self._names.get(name.target) != name:
            what = "has other scripts" if name.target in self._names else "has nothing"
            raise ScriptsDiffer(
                f"This runner {what} at {name.target}: run the same version of Twinport on both sides, "
                "with the same packages installed."
            )
        return self._trees[name.target]


def error_frame(error: TwinportError) -> bytes:
    """Say an error that came after the first frame, in the shape of the others."""
    return frame(Kind.ERROR, openai_error_body(error))


def _output(stream: str, content: bytes) -> bytes:
    return frame(Kind.STDOUT if stream == "stdout" else Kind.STDERR, content)
