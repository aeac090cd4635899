"""The process over HTTP, with tools made for the test."""

import asyncio
import io
from typing import Any

import aiohttp
import pytest

from tests.tools_api.conftest import KEY, OTHER_KEY, Serve
from tests.tools_api.fakes import FakeTool, Hanging
from tools_api.invoke.tool import OutputFile, ToolCall, ToolOutput


async def drawing(_call: ToolCall) -> ToolOutput:
    return ToolOutput(
        content="drawn", files=(OutputFile(name="Plän.html", media_type="text/html", content=b"<script>1</script>"),)
    )


async def test_a_call_is_answered_with_the_contracts_result(serve: Serve) -> None:
    async with serve(FakeTool(aliases=("repeat",))) as served:
        status, body = await served.invoke("repeat", arguments={"text": "hi"})

    assert status == 200
    assert (body["ok"], body["content"], body["error"]) == (True, "hi", None)
    assert body["receipt"]["bytes_out"] == 2


async def test_tools_are_listed_and_described(serve: Serve) -> None:
    async with serve(FakeTool(), FakeTool(name="off", available=False, unavailable_reason="no")) as served:
        async with served.client.get(f"{served.url}/v1/tools") as answer:
            listed = await answer.json()
        async with served.client.get(f"{served.url}/v1/tools/echo") as answer:
            described = await answer.json()

    assert [(tool["name"], tool["available"]) for tool in listed["data"]] == [("echo", True), ("off", False)]
    assert described["parameters"]["required"] == ["text"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": KEY[:-1]}])
async def test_without_a_known_key_nothing_is_answered(serve: Serve, headers: dict[str, str]) -> None:
    tool = FakeTool()
    refusals: list[tuple[int, str | None, str]] = []
    async with serve(tool) as served, aiohttp.ClientSession(headers=headers) as stranger:
        for method, path in (
            ("GET", "/v1/tools"),
            ("GET", "/v1/tools/echo"),
            ("POST", "/v1/tools/echo/invoke"),
            ("GET", "/v1/artifacts/art_00000000000000000000000000000000"),
            ("POST", "/mcp"),
            ("GET", "/mcp"),
            ("DELETE", "/mcp"),
        ):
            async with stranger.request(method, served.url + path) as answer:
                code = (await answer.json())["error"]["code"]
                refusals.append((answer.status, answer.headers.get("WWW-Authenticate"), code))

    assert refusals == [(401, "Bearer", "invalid_api_key")] * 7
    assert tool.calls == []


async def test_every_route_but_health_wants_a_key(serve: Serve) -> None:
    async with serve(FakeTool()) as served, aiohttp.ClientSession() as stranger:
        async with stranger.get(f"{served.url}/openapi.json") as answer:
            paths: dict[str, Any] = (await answer.json())["paths"]
        open_paths: set[str] = set()
        for method, path in [(method, path) for path, methods in paths.items() for method in methods]:
            async with stranger.request(method, served.url + path.replace("{", "x").replace("}", "")) as answer:
                if answer.status != 401:
                    open_paths.add(path)

    assert open_paths == {"/health"}


async def test_both_headers_carry_a_key_and_name_the_caller(serve: Serve) -> None:
    tool = FakeTool()
    async with serve(tool) as served, aiohttp.ClientSession() as client:
        url = f"{served.url}/v1/tools/echo/invoke"
        for headers in ({"Authorization": f"Bearer {KEY}"}, {"X-API-Key": OTHER_KEY}):
            async with client.post(url, json={"arguments": {"text": "a"}}, headers=headers) as answer:
                assert answer.status == 200

    assert [call.caller for call in tool.calls] == ["main_api", "other"]


MALFORMED: list[tuple[bytes, dict[str, str], int]] = [
    (b"{", {}, 400),
    (b'{"arguments": {"text": NaN}}', {}, 400),
    (b"[" * 100_000, {}, 400),
    (b'{"unknown": 1}', {}, 400),
    (b'{"workspace": "../.."}', {}, 400),
    (b'{"deadline_ms": -1}', {}, 400),
    (b"{}", {"Content-Type": "text/plain"}, 400),
    (b"{}", {"Content-Encoding": "gzip"}, 400),
    (b" " * 5_000_000, {}, 413),
]


async def test_a_malformed_call_is_refused_in_openais_shape(serve: Serve) -> None:
    async with serve(FakeTool()) as served:
        url = f"{served.url}/v1/tools/echo/invoke"
        for body, extra, status in MALFORMED:
            headers = {"Content-Type": "application/json", **extra}
            async with served.client.post(url, data=io.BytesIO(body), headers=headers) as answer:
                problem = await answer.json()

            assert answer.status == status, (body[:40], problem)
            assert set(problem["error"]) >= {"message", "type", "param", "code"}
            assert "Traceback" not in str(problem)


async def test_a_body_without_a_length_is_measured_as_it_comes(serve: Serve) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 100_000

    async with serve(FakeTool()) as served:
        url = f"{served.url}/v1/tools/echo/invoke"
        async with served.client.post(url, data=endless(), headers={"Content-Type": "application/json"}) as answer:
            body = await answer.json()

    assert (answer.status, body["error"]["code"]) == (413, "payload_too_large")


async def test_wrong_arguments_are_a_result_that_the_model_reads(serve: Serve) -> None:
    async with serve(FakeTool()) as served:
        status, body = await served.invoke("echo", arguments={"txt": "hi"})

    assert (status, body["ok"], body["error"]["type"]) == (200, False, "invalid_arguments")
    assert "'text'" in body["error"]["message"]


async def test_unknown_and_unavailable_tools(serve: Serve) -> None:
    off = FakeTool(
        name="off", available=False, unavailable_reason="no bubblewrap", unavailable_code="sandbox_unavailable"
    )
    async with serve(off) as served:
        unknown, unknown_body = await served.invoke("none")
        unavailable, unavailable_body = await served.invoke("off", arguments={"text": "a"})

    assert (unknown, unknown_body["error"]["code"]) == (404, "not_found")
    assert (unavailable, unavailable_body["error"]["code"]) == (503, "sandbox_unavailable")
    assert unavailable_body["error"]["details"] == {"reason": "no bubblewrap"}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PUT", "/v1/tools", 405)])
async def test_what_the_router_refuses_has_the_same_shape(serve: Serve, method: str, path: str, status: int) -> None:
    async with serve() as served, served.client.request(method, served.url + path) as answer:
        body = await answer.json()

    assert answer.status == status
    assert body["error"]["message"]


async def test_a_disconnect_stops_the_tool(serve: Serve) -> None:
    hanging = Hanging()
    async with serve(FakeTool(hanging)) as served:
        calling = asyncio.create_task(served.invoke("echo", arguments={"text": "a"}))
        await hanging.begun.wait()
        calling.cancel()
        async with asyncio.timeout(10):
            await hanging.stopped.wait()


async def test_the_callers_request_id_is_answered_and_a_harmful_one_replaced(serve: Serve) -> None:
    async with serve() as served:
        async with served.client.get(f"{served.url}/health", headers={"x-request-id": "req_abc"}) as answer:
            kept = answer.headers["x-request-id"]
        async with served.client.get(f"{served.url}/health", headers={"x-request-id": "a b<script>"}) as answer:
            replaced = answer.headers["x-request-id"]

    assert kept == "req_abc"
    assert replaced.startswith("req_")


async def test_a_file_is_downloaded_as_an_attachment_that_cannot_run(serve: Serve) -> None:
    async with serve(FakeTool(drawing)) as served:
        _, body = await served.invoke("echo", arguments={"text": "a"})
        artifact = body["artifacts"][0]
        many_ranges = {"Range": "bytes=" + ",".join(f"{i}-{i}" for i in range(1000))}
        async with served.client.get(f"{served.url}/v1/artifacts/{artifact['id']}", headers=many_ranges) as answer:
            content = await answer.read()
        async with aiohttp.ClientSession(headers={"X-API-Key": OTHER_KEY}) as other:
            foreign = await other.get(f"{served.url}/v1/artifacts/{artifact['id']}")

    assert (answer.status, content) == (200, b"<script>1</script>")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "filename*=UTF-8''Pl%C3%A4n.html" in answer.headers["Content-Disposition"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert foreign.status == 404


async def test_a_workspace_is_kept_between_calls_of_one_service_only(serve: Serve) -> None:
    async def count(call: ToolCall) -> ToolOutput:
        marks = call.workspace / "marks"
        marks.write_text((marks.read_text() if marks.exists() else "") + "x")
        return ToolOutput(content=marks.read_text())

    async with serve(FakeTool(count)) as served:
        first = (await served.invoke("echo", arguments={"text": "a"}, workspace="s1"))[1]["content"]
        second = (await served.invoke("echo", arguments={"text": "a"}, workspace="s1"))[1]["content"]
        elsewhere = (await served.invoke("echo", arguments={"text": "a"}))[1]["content"]

    assert (first, second, elsewhere) == ("x", "xx", "x")


async def test_health_needs_no_key_and_tells_no_reason(serve: Serve) -> None:
    off = FakeTool(name="off", available=False, unavailable_reason="/usr/bin/bwrap 0.8.0 is too old")
    async with (
        serve(FakeTool(), off) as served,
        aiohttp.ClientSession() as anybody,
        anybody.get(f"{served.url}/health") as answer,
    ):
        body = await answer.json()

    assert body == {
        "status": "degraded",
        "service": "tools_api",
        "tools": {"echo": "available", "off": "unavailable"},
        "sandbox": "off",
        "sandbox_passed_over": {},
        "encoder": "off",
    }


async def test_metrics_count_calls_by_route_template_and_outcome(serve: Serve) -> None:
    async with serve(FakeTool(name="counted")) as served:
        await served.invoke("counted", arguments={"text": "a"})
        async with served.client.get(f"{served.url}/metrics") as answer:
            text = await answer.text()

    assert 'twinport_tool_calls_total{outcome="ok",tool="counted"} 1.0' in text
    assert 'route="/v1/tools/{name}/invoke",status="200"' in text


async def test_fifty_calls_at_once_all_finish_while_health_answers(serve: Serve) -> None:
    begun, healthy = asyncio.Event(), asyncio.Event()

    async def waiting(_call: ToolCall) -> ToolOutput:
        begun.set()
        await healthy.wait()
        return ToolOutput(content="done")

    async with serve(FakeTool(waiting), tools_caller_concurrency=4) as served:
        calls = [asyncio.create_task(served.invoke("echo", arguments={"text": "a"})) for _ in range(50)]
        await begun.wait()
        async with asyncio.timeout(30), served.client.get(f"{served.url}/health") as answer:
            assert answer.status == 200
        healthy.set()
        results = await asyncio.gather(*calls)

    assert all(body["content"] == "done" for _, body in results)
