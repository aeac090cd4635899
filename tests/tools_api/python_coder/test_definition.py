"""What models and the boundary are told about the tool."""

import json
from pathlib import Path

import jsonschema
import pytest

from tools_api.invoke.tool import ToolCall
from tools_api.python_coder import PythonCoder, PythonCoderOptions
from tools_api.python_coder.description import describe_tool
from tools_api.sandbox import (
    Abilities,
    Job,
    Level,
    Limits,
    Outcome,
    Sandbox,
    SandboxOptions,
    SandboxUnavailable,
    SessionOptions,
    Standing,
)
from tools_api.sandbox.outcome import OutputListener


class WithoutSessions:
    """A level that runs jobs one by one and does nothing else."""

    name: Level = "wasi"
    abilities = Abilities(programs=False, native_code=False)

    async def probe(self) -> Standing:
        return Standing(memory="watchdog", python="3.11")

    async def run(self, job: Job, limits: Limits, on_output: OutputListener | None) -> Outcome:
        raise AssertionError("nothing is run")

    async def aclose(self) -> None:
        return


def _tool(bubblewrap: Path | None = None) -> PythonCoder:
    return PythonCoder(Sandbox(SandboxOptions(bubblewrap=bubblewrap)), PythonCoderOptions())


async def test_on_a_machine_without_a_sandbox_the_tool_is_unavailable_and_nothing_runs(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxOptions(bubblewrap=Path("/nonexistent/bwrap")))
    await sandbox.start()
    tool = PythonCoder(sandbox, PythonCoderOptions())
    assert not tool.definition.available
    assert tool.definition.unavailable_reason
    marker = tmp_path / "marker"
    call = ToolCall(arguments={"code": f"open({str(marker)!r}, 'w')"}, workspace=tmp_path, timeout_s=5, caller="test")
    with pytest.raises(SandboxUnavailable) as raised:
        await tool.run(call)
    assert raised.value.status == 503
    assert not marker.exists()
    await sandbox.aclose()


def test_it_has_the_cortex_documents_name_too() -> None:
    assert _tool().definition.aliases == ("python_repl",)


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ({"code": "print(1)"}, True),
        ({"code": "print(1)", "timeout": 5}, True),
        ({}, False),
        ({"code": ""}, False),
        ({"code": 5}, False),
        ({"input": "print(1)"}, False),
        ({"code": "x", "timeout": 0}, False),
        ({"code": "x", "timeout": 31}, False),
        ({"code": "x" * 100_001}, False),
        ({"code": "x", "sandbox": False}, False),
        ({"code": "x", "session": "plot-2_b"}, True),
        ({"code": "x", "session": ""}, False),
        ({"code": "x", "session": "../x"}, False),
        ({"code": "x", "session": "x" * 33}, False),
        ({"code": "x", "session": 5}, False),
        ({"code": "x", "limits": {}}, True),
        ({"code": "x", "limits": {"cpu_s": 1.5, "memory_mb": 64, "processes": 1, "output_kb": 1}}, True),
        ({"code": "x", "limits": {"files": 0, "files_mb": 1, "workspace_mb": 1}}, True),
        ({"code": "x", "limits": {"memory_bytes": 1}}, False),
        ({"code": "x", "limits": {"memory_mb": 63}}, False),
        ({"code": "x", "limits": {"memory_mb": 1025}}, False),
        ({"code": "x", "limits": {"memory_mb": "64"}}, False),
        ({"code": "x", "limits": {"processes": 65}}, False),
        ({"code": "x", "limits": {"output_kb": 257}}, False),
        ({"code": "x", "limits": {"files": 33}}, False),
        ({"code": "x", "limits": {"files_mb": 33}}, False),
        ({"code": "x", "limits": {"workspace_mb": 129}}, False),
        ({"code": "x", "limits": {"cpu_s": 31}}, False),
    ],
)
def test_the_schema_admits_code_and_nothing_that_relaxes(arguments: dict[str, object], fits: bool) -> None:
    validator = jsonschema.Draft202012Validator(_tool().definition.parameters)
    assert validator.is_valid(arguments) is fits


def test_the_description_teaches_its_use() -> None:
    description = _tool().definition.description
    for words in ("`code`", "no network", "value of its last expression", "current folder", "Variables do not survive"):
        assert words in description


def test_where_no_sessions_are_kept_the_argument_is_not_offered() -> None:
    sandbox = Sandbox(SandboxOptions(sessions=SessionOptions(most=0)))
    assert "session" not in PythonCoder(sandbox, PythonCoderOptions()).definition.parameters["properties"]


def test_the_definition_leaves_room_in_a_small_context() -> None:
    """Some 4 characters a token; a small model is shown the first sentence alone."""
    definition = _tool().definition
    assert definition.description.startswith("Run Python 3 code in a fresh, isolated sandbox. ")
    assert len(definition.description) < 1000
    assert len(json.dumps(definition.parameters)) < 1600


def test_the_description_names_the_packages_and_teaches_figures_only_where_they_can_be_drawn() -> None:
    limits = Limits(wall_s=5, memory_bytes=64 << 20)
    bare = describe_tool(limits, python="3.11", packages=(), sessions=True)
    assert "Only the standard library" in bare
    assert "matplotlib" not in bare
    full = describe_tool(limits, python="3.11", packages=("numpy", "matplotlib", "scipy"), sessions=False)
    assert "numpy, matplotlib, scipy and the standard library" in full
    assert "every figure is returned as a PNG" in full
    assert "Limits: 5 s, 64 MB of memory" in full
    assert "session" in bare
    assert "session" not in full


async def test_a_level_that_keeps_no_sessions_says_what_to_do_instead(tmp_path: Path) -> None:
    sandbox = Sandbox(SandboxOptions(), levels=[WithoutSessions()])
    await sandbox.start()
    arguments = {"code": "1", "session": "notes"}
    call = ToolCall(arguments=arguments, workspace=tmp_path, timeout_s=5, caller="test")
    output = await PythonCoder(sandbox, PythonCoderOptions()).run(call)
    await sandbox.aclose()

    assert output.error is not None
    assert output.error.type == "invalid_arguments"
    assert "leave `session` out" in output.error.message
