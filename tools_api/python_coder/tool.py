"""The tool `python_coder`: runs a model's Python in the sandbox. It keeps a workspace's files, and named sessions."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.tools_contract import JsonObject, Receipt, ToolDefinition, ToolError
from tools_api.invoke.tool import ToolCall, ToolOutput
from tools_api.python_coder.answer import Answer, as_data, as_text, error_of, listed, read_answer
from tools_api.python_coder.description import describe_tool
from tools_api.python_coder.limits import MARGIN_S, limit_schema, limits_of
from tools_api.python_coder.runtime import ENV, SCRIPTS, trees_of
from tools_api.python_coder.session_words import SET_BY_FIRST_CALL, session_note
from tools_api.python_coder.workspace import keep_files, output_files
from tools_api.sandbox import Job, Limits, NoSessions, Outcome, Sandbox, Session, SessionKey
from tools_api.sandbox.collector import read_inputs
from tools_api.sandbox.packages import installed_names

_NO_SESSIONS = (
    "This server keeps no sessions ({}): leave `session` out. Files of a workspace live on between calls: write what "
    "the next call needs to a file."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCoderOptions:
    """`packages` is a folder made by `tools_api.sandbox.packages`; without one there is the standard library only."""

    packages: Path | None = None
    timeout_s: float = 30.0
    """When the call does not say; the sandbox's `wall_s` is the most that it may ask for."""
    max_code_chars: int = 100_000
    max_inputs: int = 1000
    workspace_bytes: int = 128 * 1024 * 1024
    """What a named workspace may hold between calls."""


class PythonCoder:
    """Runs code through a `Sandbox` that someone else starts and closes."""

    def __init__(self, sandbox: Sandbox, options: PythonCoderOptions) -> None:
        self._sandbox = sandbox
        self._options = options
        self._installed = installed_names(options.packages)
        self._trees = trees_of(options.packages)

    @property
    def definition(self) -> ToolDefinition:
        report = self._sandbox.report
        return ToolDefinition(
            name="python_coder",
            description=describe_tool(
                self._sandbox.limits,
                python=report.python or "3",
                packages=self._importable,
                sessions=self._sandbox.allows_sessions,
            ),
            parameters={
                "type": "object",
                "properties": {
                    "code": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": self._options.max_code_chars,
                        "description": "The Python code. Print what you want to see.",
                    },
                    **self._session_schema(),
                    **limit_schema(self._sandbox.limits, default_s=self._default_s),
                },
                "required": ["code"],
                "additionalProperties": False,
            },
            aliases=("python_repl",),
            available=report.available,
            unavailable_reason=report.reason,
            unavailable_code="sandbox_unavailable",
            streams=True,
        )

    @property
    def _importable(self) -> tuple[str, ...]:
        """The packages that code can import at the sandbox's level."""
        abilities = self._sandbox.report.abilities
        return self._installed if abilities is None or abilities.native_code else ()

    async def run(self, call: ToolCall) -> ToolOutput:
        """Run the code. Raises `SandboxUnavailable`, `SandboxBusy`; what the code does wrong is an output."""
        try:
            code = str(call.arguments["code"]).encode()
        except UnicodeEncodeError:
            return ToolOutput(error=ToolError(type="invalid_arguments", message="The code is not valid Unicode."))
        most = self._sandbox.limits
        limits = limits_of(call.arguments, most, default_s=self._default_s, deadline_s=call.timeout_s)
        inputs, left_out = await asyncio.to_thread(
            read_inputs,
            call.workspace,
            max_files=self._options.max_inputs,
            max_bytes=limits.input_bytes,
            max_file_bytes=limits.file_bytes,
        )
        job = Job(
            script=f"{SCRIPTS.target}/run_code.py",
            payload=code,
            files=inputs,
            trees=self._trees,
            env=ENV,
            limits=limits,
        )
        try:
            return await self._called(call, job, limits, left_out)
        except NoSessions as reason:
            return ToolOutput(error=ToolError(type="invalid_arguments", message=_NO_SESSIONS.format(reason)))

    async def _called(self, call: ToolCall, job: Job, limits: Limits, left_out: tuple[str, ...]) -> ToolOutput:
        ends = time.monotonic() + max(0.1, call.timeout_s - MARGIN_S)
        async with self._session(call, within_s=ends - time.monotonic()) as session:
            within_s = max(0.05, ends - time.monotonic())
            outcome = await self._sandbox.run(job, within_s=within_s, on_output=call.on_output, session=session)
            notes = [f"left out of the run, too many or too large: {listed(left_out)}"] if left_out else []
            if unkept := await asyncio.to_thread(
                keep_files, call.workspace, outcome.files, most_bytes=self._options.workspace_bytes
            ):
                notes.append(f"returned but not kept for the next call, the workspace is full: {listed(unkept)}")
            if session:
                await session.saw(file for file in outcome.files if file.name not in unkept)
            return self._output(outcome, limits, notes, session)

    def _session_schema(self) -> JsonObject:
        if not self._sandbox.allows_sessions:
            return {}
        schema = {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{1,32}$",
            "description": "A name of your choice. Calls with the same name go on where the last one stopped, with its "
            "variables, imports and functions; without one every call starts afresh.",
        }
        return {"session": schema}

    @asynccontextmanager
    async def _session(self, call: ToolCall, *, within_s: float) -> AsyncGenerator[Session | None]:
        """Hold the session that the call names, if any; it belongs to the calling service, the person for whom
        it calls,
        and the workspace."""
        if (name := call.arguments.get("session")) is None:
            yield None
            return
        key = SessionKey(call.caller, call.workspace_name or "", str(name), call.acting_for or "")
        async with self._sandbox.session(key, within_s=within_s) as session:
            yield session

    @property
    def _default_s(self) -> float:
        return min(self._options.timeout_s, self._sandbox.limits.wall_s)

    def _output(self, outcome: Outcome, asked: Limits, notes: list[str], session: Session | None) -> ToolOutput:
        limits = session.limits_of_call(asked) if session else asked
        answer = read_answer(outcome, limits, self._sandbox.limits)
        lowered = asked.in_a_session_of(self._sandbox.limits) != asked
        if limits != asked and (lowered or answer.limit):
            notes = [*notes, SET_BY_FIRST_CALL]
        error = error_of(answer)
        if session and (note := session_note(session, failed=error is not None)):
            notes = [*notes, note]
            error = error and error.model_copy(update={"message": f"{error.message} {note}"})
        sizes = {file.name: len(file.content) for file in outcome.files}
        return ToolOutput(
            content=as_text(answer, packages=self._importable, files=sizes, notes=notes),
            data={**as_data(answer, list(sizes)), "session": session.state if session else None},
            files=output_files(outcome.files),
            error=error,
            receipt=_receipt(outcome, answer, limits),
        )


def _receipt(outcome: Outcome, answer: Answer, limits: Limits) -> Receipt:
    met = limits.processes if answer.limit == "processes" else 0  # too short a crowd to be seen from outside
    return Receipt(
        wall_s=outcome.wall_s,
        cpu_s=outcome.cpu_s,
        peak_memory_bytes=outcome.peak_memory_bytes,
        processes=max(outcome.processes, met),
        bytes_out=outcome.bytes_out,
        files_out=len(outcome.files),
        denied=answer.denied,
    )
