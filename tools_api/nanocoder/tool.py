"""The tool `python_coder` in nanocoder mode: takes a task in words, and hands back the agent's answer and files."""

import asyncio
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from shared.tools_contract import Receipt, ToolDefinition, ToolError
from tools_api.invoke.tool import ToolCall, ToolOutput
from tools_api.nanocoder.answer import AgentAnswer, as_data, as_text, error_of, read_answer
from tools_api.nanocoder.installation import INSIDE, Installation, NotInstalled, find_installation
from tools_api.nanocoder.readiness import Readiness
from tools_api.nanocoder.relay import Relay
from tools_api.nanocoder.upstream import Upstream
from tools_api.python_coder.answer import listed
from tools_api.python_coder.limits import MARGIN_S
from tools_api.python_coder.runtime import ENV, trees_of
from tools_api.python_coder.workspace import keep_files, output_files
from tools_api.sandbox import Job, Limits, Outcome, ReadOnlyTree, Sandbox, SandboxFile, SandboxUnavailable
from tools_api.sandbox.collector import read_inputs
from tools_api.sandbox.packages import installed_names

_LAUNCHER = ReadOnlyTree(Path(__file__).parent / "inside", "/opt/launcher")
_SHOWN_FILES = 50
_CONFIG = {
    "nanocoder": {
        # what needs a network, a person or a language server
        "disabledTools": ["fetch_url", "web_search", "ask_user", "agent", "lsp_get_diagnostics", "check_skill"],
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NanocoderOptions:
    """`folder` holds what `tools_api.nanocoder.install` puts there; `packages` as for python_coder itself."""

    folder: Path
    packages: Path | None = None
    timeout_s: float = 300.0
    """The longest run, and what it is when the call does not say."""
    max_task_chars: int = 20_000
    """Well below the 128 KiB that Linux takes as one argument."""
    max_inputs: int = 1000
    max_turns: int = 100
    workspace_bytes: int = 128 * 1024 * 1024
    """What a named workspace may hold between calls."""


class Nanocoder:
    """Runs tasks through a `Sandbox` that someone else starts and closes. `await start()` before."""

    def __init__(self, sandbox: Sandbox, upstream: Upstream, options: NanocoderOptions) -> None:
        self._sandbox = sandbox
        self._upstream = upstream
        self._options = options
        self._readiness = Readiness(sandbox)
        self._installation: Installation | None = None
        self._missing: str | None = "it has not been started"
        self._packages = installed_names(options.packages)
        self._template = Template(Path(__file__).with_name("task.md").read_text())

    async def start(self) -> None:
        """Look for the installation, and prove the sandbox with the sockets that this mode allows."""
        try:
            self._installation = await asyncio.to_thread(find_installation, self._options.folder)
        except NotInstalled as error:
            self._missing = str(error)
            return
        self._missing = None
        await self._readiness.prove()

    @property
    def definition(self) -> ToolDefinition:
        reason = self._readiness.problem or self._missing
        return ToolDefinition(
            name="python_coder",
            description=_description(self._sandbox.limits, self._python, self._packages, self._most_s),
            parameters={
                "type": "object",
                "properties": {
                    "task": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": self._options.max_task_chars,
                        "pattern": r"^[^\u0000]*$",
                        "description": "What to do, in words, with every figure and file name that matters.",
                    },
                    "timeout": {
                        "type": "number",
                        "exclusiveMinimum": 0,
                        "maximum": self._most_s,
                        "description": f"Seconds after which it is stopped; {self._most_s:g} if left out.",
                    },
                },
                "required": ["task"],
                "additionalProperties": False,
            },
            aliases=("python_repl",),
            available=reason is None,
            unavailable_reason=reason,
            unavailable_code="sandbox_unavailable" if self._readiness.problem else "nanocoder_unavailable",
            timeout_s=self._most_s,
        )

    async def run(self, call: ToolCall) -> ToolOutput:
        """Have the agent do the task. Raises `SandboxUnavailable`, `SandboxBusy`; what the agent does is an output."""
        await self._readiness.prove()
        if (reason := self._readiness.problem or self._missing) or self._installation is None:
            raise SandboxUnavailable(f"Tasks can't be run safely on this server: {reason}.")
        try:
            task = str(call.arguments["task"])
            task.encode()
        except UnicodeEncodeError:
            return ToolOutput(error=ToolError(type="invalid_arguments", message="The task is not valid Unicode."))
        limits = self._limits(call)
        inputs, left_out = await asyncio.to_thread(
            read_inputs,
            call.workspace,
            max_files=self._options.max_inputs,
            max_bytes=limits.input_bytes,
            max_file_bytes=limits.file_bytes,
        )
        job = self._job(self._installation, task, inputs, limits)
        outcome, answer = await self._run_with_model(job, within_s=max(0.1, call.timeout_s - MARGIN_S))
        notes = [f"left out of the run, too many or too large: {listed(left_out)}"] if left_out else []
        if unkept := await asyncio.to_thread(
            keep_files, call.workspace, outcome.files, most_bytes=self._options.workspace_bytes
        ):
            notes.append(f"returned but not kept for the next call, the workspace is full: {listed(unkept)}")
        return _output(outcome, answer, limits, notes)

    async def _run_with_model(self, job: Job, *, within_s: float) -> tuple[Outcome, AgentAnswer]:
        """Run it with a relay of its own, which ends with it."""
        relay = Relay(self._upstream)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            serving = asyncio.create_task(relay.serve(ours))
            try:
                outcome = await self._sandbox.run(replace(job, channel=theirs), within_s=within_s)
            finally:
                serving.cancel()
                await asyncio.wait({serving})
        return outcome, read_answer(outcome, asked=relay.requests, problem=relay.problem)

    def _job(self, installed: Installation, task: str, inputs: tuple[SandboxFile, ...], limits: Limits) -> Job:
        agent = ReadOnlyTree(installed.folder, INSIDE, native=True)
        payload = {
            "node": installed.node,
            "model": self._upstream.model,
            "turns": self._options.max_turns,
            "config": _CONFIG,
            "prompt": self._prompt(task, [file.name for file in inputs]),
        }
        return Job(
            script=f"{_LAUNCHER.target}/launch.py",
            payload=json.dumps(payload).encode(),
            files=inputs,
            trees=(_LAUNCHER, agent, *trees_of(self._options.packages)),
            env=ENV,
            limits=limits,
            loopback=True,
            bounded_address_space=False,
        )

    def _prompt(self, task: str, files: Sequence[str]) -> str:
        shown = ", ".join(files[:_SHOWN_FILES]) + (
            f" and {len(files) - _SHOWN_FILES} more" if files[_SHOWN_FILES:] else ""
        )
        return self._template.substitute(
            python=self._python,
            packages=", ".join(self._packages) or "only the standard library",
            files=shown or "none",
            task=task,
        )

    @property
    def _python(self) -> str:
        return self._sandbox.report.python or "3"

    @property
    def _most_s(self) -> float:
        return min(self._options.timeout_s, self._sandbox.limits.wall_s)

    def _limits(self, call: ToolCall) -> Limits:
        asked = float(call.arguments.get("timeout", self._most_s))
        return replace(self._sandbox.limits, wall_s=min(asked, self._most_s, max(0.1, call.timeout_s - MARGIN_S)))


def _output(outcome: Outcome, answer: AgentAnswer, limits: Limits, notes: Sequence[str]) -> ToolOutput:
    paths = [file.name for file in outcome.files]
    return ToolOutput(
        content=as_text(answer, limits, paths, notes),
        data=as_data(answer, paths),
        files=output_files(outcome.files),
        error=error_of(answer, limits),
        receipt=Receipt(
            wall_s=outcome.wall_s,
            cpu_s=outcome.cpu_s,
            peak_memory_bytes=outcome.peak_memory_bytes,
            processes=outcome.processes,
            bytes_out=outcome.bytes_out,
            files_out=len(outcome.files),
            denied=outcome.denied,
        ),
    )


def _description(limits: Limits, python: str, packages: Sequence[str], most_s: float) -> str:
    libraries = f"{', '.join(packages)} and the standard library" if packages else "only the standard library"
    return (
        "Give a task in words to a coding agent, which writes Python programs for it and runs them in an isolated "
        "sandbox until it is done. You get its answer and every file that it leaves. Say all that it must know: it "
        "sees nothing of this conversation, only the task and the files of the workspace. "
        f"It has Python {python} with {libraries}; nothing can be installed and there is no network. "
        f"It takes half a minute and more. Limits: {most_s:g} s, {limits.memory_bytes >> 20} MB of memory."
    )
