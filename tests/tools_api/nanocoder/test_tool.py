"""What models, the boundary and operators are told, where there is a sandbox and an installation and where not."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest

from config import Settings
from tests.tools_api.nanocoder.agent import install_agent
from tools_api.app import open_tools
from tools_api.invoke.tool import ToolCall
from tools_api.nanocoder import Nanocoder, NanocoderOptions, Upstream
from tools_api.nanocoder.install import LOCK
from tools_api.nanocoder.installation import VERSION, NotInstalled, find_installation
from tools_api.sandbox import Sandbox, SandboxOptions, SandboxUnavailable


async def _tool(folder: Path, **options: Any) -> Nanocoder:
    sandbox = Sandbox(SandboxOptions(bubblewrap=Path("/nonexistent/bwrap"), **options))
    await sandbox.start()
    async with aiohttp.ClientSession() as http:
        upstream = Upstream(session=http, base_url="http://127.0.0.1:1/v1", model="m", api_key=None)
        tool = Nanocoder(sandbox, upstream, NanocoderOptions(folder=folder))
        await tool.start()
    await sandbox.aclose()
    return tool


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        ({"task": "Compute 12 * 7"}, True),
        ({"task": "Compute", "timeout": 20}, True),
        ({}, False),
        ({"task": ""}, False),
        ({"task": 5}, False),
        ({"code": "print(1)"}, False),
        ({"task": "x", "timeout": 0}, False),
        ({"task": "x", "timeout": 301}, False),
        ({"task": "a\0b"}, False),
        ({"task": "x" * 20_001}, False),
        ({"task": "x", "model": "dearer"}, False),
        ({"task": "x", "sandbox": False}, False),
    ],
)
async def test_the_schema_admits_a_task_and_nothing_that_relaxes(
    tmp_path: Path, arguments: dict[str, object], fits: bool
) -> None:
    tool = await _tool(tmp_path)
    validator = jsonschema.Draft202012Validator(tool.definition.parameters)
    assert validator.is_valid(arguments) is fits


async def test_without_a_sandbox_it_is_unavailable_and_nothing_runs(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    tool = await _tool(install_agent(tmp_path / "installed", f"open({str(marker)!r}, 'w')"))
    assert not tool.definition.available
    assert tool.definition.unavailable_code == "sandbox_unavailable"
    with pytest.raises(SandboxUnavailable):
        await tool.run(ToolCall(arguments={"task": "x"}, workspace=tmp_path, timeout_s=5, caller="test"))
    assert not marker.exists()


def test_a_folder_without_it_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match=r"not installed in .*python -m tools_api\.nanocoder\.install"):
        find_installation(tmp_path)


def test_another_version_is_not_used(tmp_path: Path) -> None:
    folder = install_agent(tmp_path / "installed", "", version="1.0.0")
    with pytest.raises(NotInstalled, match=rf"holds nanocoder 1\.0\.0 and {VERSION} is needed"):
        find_installation(folder)


def test_the_lock_has_the_version_that_is_needed_and_hashes_for_all() -> None:
    lock = json.loads((LOCK / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages["node_modules/@nanocollective/nanocoder"]["version"] == VERSION
    assert [name for name, package in packages.items() if not package.get("integrity")] == []


@pytest.mark.sandbox
@pytest.mark.parametrize(("mode", "argument"), [("native", "code"), ("nanocoder", "task")])
async def test_the_setting_decides_what_python_coder_takes(tmp_path: Path, mode: str, argument: str) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, python_executor_mode=mode)  # pyright: ignore
    async with open_tools(settings) as toolset:
        definition = next(tool.definition for tool in toolset.tools if tool.definition.name == "python_coder")
    assert definition.parameters["required"] == [argument]
    assert definition.aliases == ("python_repl",)
    if mode == "nanocoder":
        assert definition.timeout_s == 300
        assert not definition.available
        assert str(tmp_path / "nanocoder") in (definition.unavailable_reason or "")
