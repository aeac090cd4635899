"""Run the supervisor over two fake servers as its own process, for tests that kill it: prints what it says as JSON."""

import asyncio
import json
import sys
from pathlib import Path

from cli.server_process import ServerFailed, ServerSpec
from cli.supervisor import Patience, Supervisor

HERE = Path(__file__).parent


class PrintingVoice:
    def starting(self, name: str) -> None: ...

    def healthy(self, spec: ServerSpec, seconds: float, remark: str | None) -> None:
        emit("healthy", name=spec.name)

    def ready(self) -> None:
        emit("ready")

    def trouble(self, sentence: str, details: str) -> None:
        emit("trouble", sentence=sentence, details=details)

    def stopping(self) -> None:
        emit("stopping")


def emit(what: str, **more: object) -> None:
    print(json.dumps({"what": what, **more}), flush=True)


def spec(name: str, *arguments: str, folder: Path, essential: bool) -> ServerSpec:
    return ServerSpec(
        name=name,
        command=(sys.executable, str(HERE / "fake_server.py"), *arguments),
        environment={},
        folder=folder,
        health_url=f"http://127.0.0.1:{arguments[0]}/health",
        log=folder / f"{name}.log",
        flag="--port",
        essential=essential,
    )


def main() -> None:
    plan = json.loads(sys.argv[1])
    folder = Path(plan["folder"])
    specs = [
        spec("tools", *plan["tools"], folder=folder, essential=False),
        spec("main", *plan["main"], folder=folder, essential=True),
    ]
    patience = Patience(
        start_s=10, stop_s=plan.get("stop_s", 5), backoff_s=(0.05, 0.1), steady_s=plan.get("steady_s", 60)
    )

    async def run() -> None:
        supervisor = Supervisor(
            specs, voice=PrintingVoice(), on_change=lambda pids: emit("pids", pids=list(pids)), patience=patience
        )
        await supervisor.run()

    try:
        asyncio.run(run())
    except ServerFailed as error:
        emit("failed", sentence=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
