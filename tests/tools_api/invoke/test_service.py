"""The boundary around tools."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.errors import NotFound, RateLimited, StorageFull, Unavailable
from shared.tools_contract import Artifact, InvokeRequest, ToolError
from tests.tools_api.fakes import FakeTool, Hanging, echo
from tools_api.invoke.live import LiveOutput
from tools_api.invoke.registry import ToolRegistry
from tools_api.invoke.result import OutputLimits
from tools_api.invoke.service import Invoker, ToolUnavailable
from tools_api.invoke.slots import Shares, ToolSlots
from tools_api.invoke.tool import OutputFile, ToolCall, ToolOutput
from tools_api.invoke.workspaces import Workspaces


class KeptFiles:
    """An artifact sink that keeps everything in a list."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, OutputFile]] = []

    async def save(self, caller: str, file: OutputFile) -> Artifact:
        if file.name == "full":
            raise StorageFull("no room")
        self.kept.append((caller, file))
        return Artifact(id=f"art_{len(self.kept)}", name=file.name, media_type=file.media_type, size=len(file.content))


def invoker(tmp_path: Path, *tools: FakeTool, sink: KeptFiles | None = None, running: int = 4) -> Invoker:
    return Invoker(
        registry=ToolRegistry(tools),
        workspaces=Workspaces(tmp_path, max_bytes=10**6, total_bytes=10**7, ttl_s=60),
        artifacts=sink or KeptFiles(),
        slots=ToolSlots(Shares(running=running, waiting=1)),
        limits=OutputLimits(content_chars=100),
    )


def request(text: Any = "hi", **fields: Any) -> InvokeRequest:
    return InvokeRequest(arguments={"text": text}, **fields)


def counted(outcome: str, tool: str = "echo") -> float:
    return REGISTRY.get_sample_value("twinport_tool_calls_total", {"tool": tool, "outcome": outcome}) or 0.0


async def test_a_call_reaches_the_tool_with_workspace_caller_and_time(tmp_path: Path) -> None:
    tool = FakeTool()

    result = await invoker(tmp_path, tool).invoke("main_api", "echo", request(workspace="s1", deadline_ms=5000))

    call = tool.calls[0]
    assert (result.ok, result.content, result.error) == (True, "hi", None)
    assert call.workspace == tmp_path / "main_api" / "s1"
    assert call.caller == "main_api"
    assert 4 < call.timeout_s <= 5
    assert result.receipt.wall_s > 0


async def test_wrong_arguments_never_reach_the_tool(tmp_path: Path) -> None:
    tool = FakeTool()

    result = await invoker(tmp_path, tool).invoke("a", "echo", request(text=5))

    assert result.error is not None
    assert result.error.type == "invalid_arguments"
    assert "'text'" in result.error.message
    assert tool.calls == []


async def test_a_tool_that_raises_is_a_neutral_failure(tmp_path: Path) -> None:
    async def broken(_call: ToolCall) -> ToolOutput:
        raise RuntimeError("secret path /etc/x")

    result = await invoker(tmp_path, FakeTool(broken)).invoke("a", "echo", request())

    assert result.error is not None
    assert result.error.type == "tool_failed"
    assert "secret" not in result.model_dump_json()


async def test_a_tool_that_returns_what_json_cannot_say_has_failed(tmp_path: Path) -> None:
    async def odd(_call: ToolCall) -> ToolOutput:
        return ToolOutput(data=object())

    result = await invoker(tmp_path, FakeTool(odd)).invoke("a", "echo", request())

    assert result.error is not None
    assert result.error.type == "tool_failed"


async def test_a_failure_that_the_tool_foresaw_is_passed_on(tmp_path: Path) -> None:
    async def refusing(_call: ToolCall) -> ToolOutput:
        return ToolOutput(content="partly", error=ToolError(type="memory", message="too much"))

    result = await invoker(tmp_path, FakeTool(refusing)).invoke("a", "echo", request())

    assert (result.ok, result.content, result.error and result.error.type) == (False, "partly", "memory")


async def test_a_machine_failure_in_a_tool_stays_an_http_error(tmp_path: Path) -> None:
    async def off(_call: ToolCall) -> ToolOutput:
        raise Unavailable("the sandbox is off")

    with pytest.raises(Unavailable, match="sandbox"):
        await invoker(tmp_path, FakeTool(off)).invoke("a", "echo", request())


async def test_the_deadline_stops_the_tool(tmp_path: Path) -> None:
    hanging = Hanging()

    result = await invoker(tmp_path, FakeTool(hanging)).invoke("a", "echo", request(deadline_ms=50))

    assert result.error is not None
    assert result.error.type == "timeout"
    assert "0.05 s" in result.error.message
    assert hanging.stopped.is_set()


async def test_the_deadline_counts_the_waiting_for_a_slot(tmp_path: Path) -> None:
    hanging = Hanging()
    boundary = invoker(tmp_path, FakeTool(hanging), running=1)
    first = asyncio.create_task(boundary.invoke("a", "echo", request()))
    await hanging.begun.wait()

    second = await boundary.invoke("a", "echo", request(deadline_ms=30))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert second.error is not None
    assert second.error.type == "timeout"


async def test_a_tools_own_timeout_error_is_not_the_deadline(tmp_path: Path) -> None:
    async def times_out(_call: ToolCall) -> ToolOutput:
        raise TimeoutError

    result = await invoker(tmp_path, FakeTool(times_out)).invoke("a", "echo", request())

    assert result.error is not None
    assert result.error.type == "tool_failed"


async def test_cancelling_stops_the_tool_and_frees_the_slot(tmp_path: Path) -> None:
    hanging = Hanging()

    async def hanging_once(call: ToolCall) -> ToolOutput:
        return await (echo(call) if hanging.begun.is_set() else hanging(call))

    boundary = invoker(tmp_path, FakeTool(hanging_once), running=1)
    before = counted("cancelled")
    calling = asyncio.create_task(boundary.invoke("a", "echo", request()))
    await hanging.begun.wait()

    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)

    assert hanging.stopped.is_set()
    assert counted("cancelled") == before + 1
    assert (await boundary.invoke("a", "echo", request())).ok


async def test_too_many_waiting_calls_are_refused(tmp_path: Path) -> None:
    hanging = Hanging()
    boundary = invoker(tmp_path, FakeTool(hanging), running=1)
    waiting = [asyncio.create_task(boundary.invoke("a", "echo", request())) for _ in range(2)]
    await hanging.begun.wait()

    with pytest.raises(RateLimited):
        await boundary.invoke("a", "echo", request())
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_files_become_artifacts_of_the_caller(tmp_path: Path) -> None:
    async def drawing(_call: ToolCall) -> ToolOutput:
        return ToolOutput(files=(OutputFile(name="p.png", media_type="image/png", content=b"png"),))

    sink = KeptFiles()
    result = await invoker(tmp_path, FakeTool(drawing), sink=sink).invoke("reports", "echo", request())

    assert [(artifact.name, artifact.size) for artifact in result.artifacts] == [("p.png", 3)]
    assert sink.kept[0][0] == "reports"


async def test_a_full_store_is_a_machine_failure(tmp_path: Path) -> None:
    async def drawing(_call: ToolCall) -> ToolOutput:
        return ToolOutput(files=(OutputFile(name="full", media_type="image/png", content=b"png"),))

    with pytest.raises(StorageFull):
        await invoker(tmp_path, FakeTool(drawing)).invoke("a", "echo", request())


async def test_long_content_is_cut(tmp_path: Path) -> None:
    async def talkative(_call: ToolCall) -> ToolOutput:
        return ToolOutput(content="x" * 101)

    result = await invoker(tmp_path, FakeTool(talkative)).invoke("a", "echo", request())

    assert result.content.endswith("[cut: 1 more characters]")


async def test_an_unavailable_tool_says_why(tmp_path: Path) -> None:
    tool = FakeTool(available=False, unavailable_reason="bubblewrap is not installed.")

    with pytest.raises(ToolUnavailable, match="bubblewrap is not installed") as refused:
        await invoker(tmp_path, tool).invoke("a", "echo", request())

    assert (refused.value.status, tool.calls) == (503, [])


async def test_an_unknown_tool_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await invoker(tmp_path, FakeTool()).invoke("a", "other", request())


async def test_calls_are_counted_by_tool_and_outcome(tmp_path: Path) -> None:
    boundary = invoker(tmp_path, FakeTool(), FakeTool(Hanging(), name="slow"))
    before = (counted("ok"), counted("invalid_arguments"), counted("timeout", "slow"))

    await boundary.invoke("a", "echo", request())
    await boundary.invoke("a", "echo", request(text=1))
    await boundary.invoke("a", "slow", request(deadline_ms=10))

    after = (counted("ok"), counted("invalid_arguments"), counted("timeout", "slow"))
    assert after == tuple(count + 1 for count in before)


async def test_a_tool_that_streams_is_read_along_and_another_is_not(tmp_path: Path) -> None:
    async def printing(call: ToolCall) -> ToolOutput:
        if call.on_output:
            call.on_output("stdout", b"on the way")
        return ToolOutput(content="done")

    plain, streaming = FakeTool(printing, name="plain"), FakeTool(printing, name="streaming", streams=True)
    boundary = invoker(tmp_path, plain, streaming)
    read: dict[str, list[str]] = {}
    for name in ("plain", "streaming"):
        live = LiveOutput()
        assert (await boundary.invoke("a", name, request(), live=live)).content == "done"
        live.end()
        read[name] = [piece.text async for piece in live.pieces()]

    assert read == {"plain": [], "streaming": ["on the way"]}


async def test_a_call_that_never_had_its_turn_says_so(tmp_path: Path) -> None:
    hanging = Hanging()
    boundary = invoker(tmp_path, FakeTool(hanging), running=1)
    first = asyncio.create_task(boundary.invoke("a", "echo", request()))
    await hanging.begun.wait()

    second = await boundary.invoke("a", "echo", request(deadline_ms=30))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert second.error is not None
    assert "busy with other calls" in second.error.message


async def test_who_waits_for_a_workspace_holds_no_slot(tmp_path: Path) -> None:
    hanging = Hanging()

    async def hanging_in_shared(call: ToolCall) -> ToolOutput:
        return await (hanging(call) if call.workspace.name == "shared" else echo(call))

    boundary = invoker(tmp_path, FakeTool(hanging_in_shared), running=2)
    held = [asyncio.create_task(boundary.invoke("a", "echo", request(workspace="shared"))) for _ in range(2)]
    await hanging.begun.wait()

    assert (await boundary.invoke("a", "echo", request(workspace="mine"))).ok
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
