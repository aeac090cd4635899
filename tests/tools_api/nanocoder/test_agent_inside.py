"""What an agent can and can't do inside, in the real sandbox, with a program of ours in the place of node."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from shared.http_client import create_http_session
from tests.tools_api.marked import new_marker, until_alive, until_gone
from tests.tools_api.nanocoder.agent import install_agent
from tests.tools_api.nanocoder.conftest import KEY
from tests.tools_api.nanocoder.model_server import ModelServer
from tests.tools_api.sandbox.conftest import need_bubblewrap
from tools_api.invoke.tool import ToolCall, ToolOutput
from tools_api.nanocoder import Nanocoder, NanocoderOptions, Upstream
from tools_api.sandbox import Limits, Sandbox, SandboxOptions

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
]
LIMITS = Limits(wall_s=60, cpu_s=60, memory_bytes=512 << 20, processes=128, open_files=1024)

Run = Callable[..., Awaitable[ToolOutput]]


@pytest_asyncio.fixture
async def sandbox() -> AsyncGenerator[Sandbox]:
    need_bubblewrap()
    sandbox = Sandbox(SandboxOptions(limits=LIMITS))
    await sandbox.start()
    assert sandbox.report.available, sandbox.report
    yield sandbox
    await sandbox.aclose()


@pytest_asyncio.fixture
async def run(sandbox: Sandbox, model: ModelServer, tmp_path: Path) -> AsyncGenerator[Run]:
    """Run a program as the agent; `task` is what the tool is called with."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    async with create_http_session() as http:
        upstream = Upstream(session=http, base_url=model.url, model="m", api_key=KEY)

        async def run(code: str, *, task: str = "Do it.", **arguments: object) -> ToolOutput:
            folder = install_agent(tmp_path / "installed", code)
            tool = Nanocoder(sandbox, upstream, NanocoderOptions(folder=folder))
            await tool.start()
            assert tool.definition.available, tool.definition.unavailable_reason
            call = ToolCall(
                arguments={"task": task, **arguments}, workspace=workspace, timeout_s=LIMITS.wall_s, caller="test"
            )
            return await tool.run(call)

        yield run


async def test_it_reaches_the_model_and_hands_back_text_files_and_receipt(run: Run, model: ModelServer) -> None:
    output = await run(
        """
status, body = ask()
open("result.txt", "w").write("forty-two")
call = {"name": "execute_bash", "arguments": {"command": "python3 x.py"}, "error": None}
finish(f"{status} {'Hello' in body}", calls=[call])
"""
    )
    assert output.error is None, output
    assert output.content == "200 True\n[files: result.txt]"
    assert [(file.name, file.content) for file in output.files] == [("result.txt", b"forty-two")]
    assert output.data["tool_calls"] == ["execute_bash: python3 x.py"]
    assert output.data["model_requests"] == 1
    assert output.receipt.wall_s > 0
    assert model.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_the_key_is_nowhere_inside(run: Run) -> None:
    output = await run(
        """
ask()
found = [name for name, value in os.environ.items() if "canary" in value]
for process in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try:
            found += [f"{process} {name}"] if b"canary" in open(f"/proc/{process}/{name}", "rb").read() else []
        except OSError:
            pass
for top in ("/tmp", "/workspace", "/opt/launcher"):
    for folder, _, names in os.walk(top):
        for name in names:
            if os.path.isfile(path := os.path.join(folder, name)):
                found += [path] if b"sk-can" + b"ary" in open(path, "rb").read() else []
launcher = os.getppid()
for line in open(f"/proc/{launcher}/maps"):
    if " rw" in line and "[heap]" in line:
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        try:
            with open(f"/proc/{launcher}/mem", "rb") as memory:
                memory.seek(start)
                found += ["memory"] if b"sk-can" + b"ary" in memory.read(end - start) else []
        except OSError:
            pass
finish(found)
"""
    )
    assert output.data["text"] == "[]", output


async def test_no_other_method_or_path_passes(run: Run, model: ModelServer) -> None:
    output = await run(
        """
tries = [("GET", "/v1/chat/completions"), ("DELETE", "/v1/models"), ("POST", "/api/auth/me"), ("GET", "/health"),
         ("POST", "http://127.0.0.1:10007/v1/chat/completions"), ("POST", "/v1/../admin"), ("CONNECT", "host:443")]
finish([ask(method, path)[0] for method, path in tries])
"""
    )
    statuses = json.loads(output.data["text"])
    assert len(statuses) == 7
    assert all(status >= 400 for status in statuses), statuses
    assert model.paths == []


async def test_headers_of_the_agent_stay_inside(run: Run, model: ModelServer) -> None:
    sent = {"Authorization": "Bearer mine", "Host": "evil.example", "X-Forwarded-For": "10.0.0.1", "Cookie": "a=b"}
    output = await run(f"finish(ask(headers={sent!r})[0])")
    assert output.data["text"] == "200"
    assert model.headers[0]["authorization"] == f"Bearer {KEY}"
    assert model.headers[0]["host"] != "evil.example"
    assert not {"x-forwarded-for", "cookie"} & set(model.headers[0])


async def test_no_port_of_the_host_is_reachable(run: Run, model: ModelServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:
        output = await run(
            f"""
said = []
for port in ({host.getsockname()[1]}, {model.url.split(":")[2].removesuffix("/v1")}, 22, 10006, 10007):
    for address in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((address, port), 2)
            said.append((address, port))
        except OSError:
            pass
listening = {{line.split()[1].split(":")[1] for line in open("/proc/net/tcp").readlines()[1:] if " 0A " in line}}
finish([said, listening == {{f"{{PORT:04X}}"}}])
"""
        )
    assert output.data["text"] == "[[], True]", output


async def test_no_address_outside_is_reachable(run: Run) -> None:
    output = await run(
        """
said = []
for address in ("203.0.113.1", "169.254.169.254", "10.0.0.1", "2001:db8::1"):
    try:
        socket.create_connection((address, 80), 2)
        said.append("connected")
    except OSError as error:
        said.append(error.errno)
finish(said)
"""
    )
    assert json.loads(output.data["text"]) == [101] * 4  # the network is unreachable


async def test_garbage_on_the_listener_leaves_the_next_request_alone(run: Run) -> None:
    output = await run(
        """
for garbage in (b"\\0" * 10_000, b"GET / HTTP/1.1\\r\\nContent-Length: 99999999999\\r\\n\\r\\n", b"\\xff" * 70_000,
                b"POST /v1/chat/completions HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n"):
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        try:
            connection.sendall(garbage)
        except OSError:
            pass
finish([ask()[0], ask(body=b"nonsense")[0], ask()[0]])
"""
    )
    assert output.data["text"] == "[200, 400, 200]", output


async def test_a_body_that_is_too_long_ends_its_relay_and_not_the_service(run: Run, model: ModelServer) -> None:
    output = await run(
        """
try:
    said = [ask(body=b"x" * (5 << 20))[0]]
except OSError:
    said = ["closed"]
finish([*said, ask()[0]])
"""
    )
    assert json.loads(output.data["text"].replace("'", '"'))[-1] == 502
    assert model.paths == []


async def test_python_inside_is_the_one_with_the_packages_path(run: Run) -> None:
    output = await run(
        """
import subprocess
code = "import sys; print(sys.version_info[:2], '/opt/packages' in sys.path)"
finish(subprocess.run(["python3", "-c", code], capture_output=True, text=True).stdout.strip())
"""
    )
    assert output.data["text"] == f"{sys.version_info[:2]} True"


async def test_its_own_notes_are_no_result(run: Run) -> None:
    output = await run('os.mkdir(".nanocoder"); open(".nanocoder/tasks.json", "w").write("[]"); finish("done")')
    assert (output.content, output.files) == ("done", ())


async def test_the_task_reaches_the_agent_whole_and_cannot_be_an_option(run: Run) -> None:
    task = "--version $HOME `id` 'x' \u00e4 {task} $task ${task}"
    output = await run(f"finish(PROMPT.endswith({task!r} + chr(10)) and sys.argv[-2] == 'run')", task=task)
    assert output.data["text"] == "True", output


async def test_an_agent_that_gives_up_says_why(run: Run) -> None:
    output = await run('finish("", kind="error", message="no idea")')
    assert output.error
    assert (output.error.type, output.error.message) == ("agent_failed", "The coding agent gave up: no idea")


async def test_a_model_that_fails_is_named_as_the_reason(run: Run, model: ModelServer) -> None:
    model.status, model.error = 500, b'{"error": {"message": "out of memory"}}'
    output = await run('finish("", kind="error", message=str(ask()[0]))')
    assert output.error
    assert output.error.type == "model_failed"
    assert "answered 500" in output.error.message


@pytest.mark.parametrize("printed", ["nonsense", "[]", "{}", '{"kind": 5}', '{"kind": "success", "toolCalls": [1]}'])
async def test_a_report_that_is_none_is_a_failure(run: Run, printed: str) -> None:
    output = await run(f"print({printed!r})")
    assert output.error
    assert output.error.type == "agent_failed"


async def test_a_flood_of_output_is_stopped(run: Run) -> None:
    output = await run('while True: print("x" * 100_000)')
    assert output.error
    assert output.error.type == "agent_failed"


async def test_it_is_stopped_at_its_time_and_its_files_come_back(run: Run) -> None:
    output = await run('import time; open("half.txt", "w").write("half"); time.sleep(600)', timeout=3)
    assert output.error
    assert output.error.type == "timeout"
    assert [file.name for file in output.files] == ["half.txt"]


async def test_memory_in_sum_is_limited_although_address_space_is_not(run: Run) -> None:
    output = await run(
        """
import mmap, time
reserved = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # MAP_NORESERVE
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(os.urandom(1)) * (120 << 20)
        time.sleep(30)
        os._exit(0)
time.sleep(30)
"""
    )
    assert output.error
    assert output.error.type == "memory"


async def test_a_call_that_is_cancelled_takes_the_agent_and_its_request_along(run: Run, model: ModelServer) -> None:
    model.hangs = True
    marker = new_marker()
    running = asyncio.create_task(run(f"import subprocess; subprocess.Popen(['sleep', '99', '{marker}']); ask()"))
    while not model.requests:
        assert not running.done(), running.result()
        await asyncio.sleep(0.02)
    await until_alive(marker)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    await model.left.wait()
    await until_gone(marker)
