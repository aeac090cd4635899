"""Both servers in the foreground: what is run where, what is in the way, and what the terminal shows."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli import terminal
from cli.instance import AlreadyRunning, Instance, end, only_instance
from cli.ports import PortUnusable, check_port, free_port
from cli.server_process import ServerFailed, ServerSpec, trim_log
from cli.supervisor import Patience, Supervisor
from config import Settings

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - where a wildcard is reached from here


def run(settings: Settings, *, tools_only: bool, main_only: bool) -> None:
    """Run the servers of `settings` until asked to stop; what is in the way ends the program with a sentence."""
    plan = make_plan(settings, tools_only=tools_only, main_only=main_only)
    try:
        with only_instance(settings.data_dir) as instance:
            _clear_leftovers(instance)
            plan = _settle_ports(plan)
            asyncio.run(_supervise(plan, settings, instance))
    except (AlreadyRunning, PortUnusable, ServerFailed) as error:
        terminal.fail(str(error))
    except OSError as error:
        terminal.fail(
            f"DATA_DIR: {settings.data_dir} cannot be written ({error.strerror}). Choose another (--data-dir)."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run here, on which address. A port of 0 stands for any free one."""

    host: str
    main_port: int | None
    tools_port: int | None
    tools_host: str
    data_dir: Path

    @property
    def reachable_host(self) -> str:
        """Where this machine reaches what listens on `host`, ready for a URL."""
        host = _WILDCARD.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host

    @property
    def main_url(self) -> str:
        return f"http://{self.reachable_host}:{self.main_port}"

    @property
    def tools_url(self) -> str:
        return f"http://{self.reachable_host}:{self.tools_port}"

    def specs(self) -> list[ServerSpec]:
        """Return the servers in the order of their start."""
        specs: list[ServerSpec] = []
        if self.tools_port is not None:
            specs.append(self._spec("tools API", "tools_api", self.tools_url, "--tools-port"))
        if self.main_port is not None:
            specs.append(self._spec("main API", "main_api", self.main_url, "--port"))
        return specs

    def _spec(self, name: str, module: str, url: str, flag: str) -> ServerSpec:
        return ServerSpec(
            name=name,
            command=(sys.executable, "-m", module),
            environment=self._environment(),
            folder=terminal.ROOT,
            health_url=url + "/health",
            log=self.data_dir / "logs" / f"{module.removesuffix('_api')}.log",
            flag=flag,
            essential=module == "main_api",
        )

    def _environment(self) -> dict[str, str]:
        """Hand the flags on as the variables that both servers read; everything else is inherited."""
        values = {"HOST": self.host, "DATA_DIR": str(self.data_dir), "TOOLS_HOST": self.tools_host}
        if self.main_port is not None:
            values["MAIN_API_PORT"] = str(self.main_port)
        if self.tools_port is not None:
            values["TOOLS_PORT"] = str(self.tools_port)
            values["TOOLS_HOST"] = self.tools_url
        return {**os.environ, "PYTHONUNBUFFERED": "1", **values}


def make_plan(settings: Settings, *, tools_only: bool, main_only: bool) -> Plan:
    """Turn settings and flags into what is run; what contradicts itself ends the program with a sentence."""
    if tools_only and main_only:
        terminal.fail("--tools-only and --main-only exclude each other; without either, both run.", status=2)
    tools_elsewhere = (urlsplit(settings.tools_base_url).hostname or "") not in {*_LOOPBACK, settings.host}
    if tools_elsewhere and not (tools_only or main_only):
        terminal.fail(
            f"TOOLS_HOST says that the tools API is elsewhere ({settings.tools_base_url}): start with --main-only here "
            "and with --tools-only there, or leave TOOLS_HOST out to run both here.",
            status=2,
        )
    if settings.main_api_port == settings.tools_port != 0 and not (tools_only or main_only):
        terminal.fail(f"Both servers have port {settings.tools_port}: change --port or --tools-port.", status=2)
    return Plan(
        host=settings.host,
        main_port=None if tools_only else settings.main_api_port,
        tools_port=None if main_only else settings.tools_port,
        tools_host=settings.tools_host,
        data_dir=settings.data_dir,
    )


def _settle_ports(plan: Plan) -> Plan:
    """Check that the ports are free, choosing one where the port is 0."""
    chosen: dict[str, int | None] = {}
    for field, purpose, flag in (("tools_port", "tools API", "--tools-port"), ("main_port", "main API", "--port")):
        port: int | None = getattr(plan, field)
        if port == 0:
            port = free_port(plan.host)
        if port is not None:
            check_port(plan.host, port, purpose=purpose, flag=flag)
        chosen[field] = port
    return Plan(host=plan.host, tools_host=plan.tools_host, data_dir=plan.data_dir, **chosen)


def _clear_leftovers(instance: Instance) -> None:
    if left := instance.left_behind():
        pids = ", ".join(str(process.pid) for process in left)
        terminal.out.print(f"An earlier start was killed and left servers running (process {pids}); stopping them.")
        end(left)


async def _supervise(plan: Plan, settings: Settings, instance: Instance) -> None:
    specs = plan.specs()
    for spec in specs:
        trim_log(spec.log)
    address = plan.main_url if plan.main_port is not None else plan.tools_url
    supervisor = Supervisor(
        specs,
        voice=_TerminalVoice(plan),
        on_change=lambda pids: instance.remember(pids, address=address),
        patience=Patience(stop_s=settings.shutdown_grace_s + 5),
    )
    await supervisor.run()
    terminal.out.print("Stopped.")


class _TerminalVoice:
    """The supervisor's voice in the terminal: a few quiet lines; the logs have the rest."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        terminal.out.print(f"[bold]Twinport {terminal.version()}[/bold]  data in {plan.data_dir}", soft_wrap=True)

    def starting(self, name: str) -> None:
        if terminal.out.is_terminal:
            terminal.out.print(f"  starting the {name} …", end="\r", style="dim")

    def healthy(self, spec: ServerSpec, seconds: float, remark: str | None) -> None:
        url = spec.health_url.removesuffix("/health")
        terminal.out.print(f"[green]✓[/green] {spec.name:<10} {url}  [dim]{seconds:.1f} s[/dim]", soft_wrap=True)
        if remark:
            terminal.out.print(f"  [yellow]{remark}[/yellow]", soft_wrap=True)

    def ready(self) -> None:
        plan = self._plan
        if plan.main_port is None:
            self._explain_tools_only()
        else:
            command = terminal.launcher()
            terminal.out.print(
                f"\nReady at [bold]{plan.main_url}[/bold]  (API description: {plan.main_url}/docs)\n"
                f"  first user   {command} user create\n"
                f"  chat         {command} chat\n"
                f"  what works   {command} doctor\n"
                f"  logs         {plan.data_dir / 'logs'}",
                soft_wrap=True,
            )
        terminal.out.print("Ctrl-C stops it.", style="dim")

    def _explain_tools_only(self) -> None:
        terminal.out.print(
            f"\nReady at [bold]{self._plan.tools_url}[/bold]\n"
            f"  On the main API's machine set TOOLS_HOST to this machine's URL and TOOLS_API_KEY to the key in\n"
            f"  {self._plan.data_dir / 'secrets' / 'tools_api_key'}, then start it with --main-only.",
            soft_wrap=True,
        )

    def trouble(self, sentence: str, details: str) -> None:
        terminal.err.print(f"[yellow]{sentence}[/yellow]", soft_wrap=True)
        if details:
            terminal.err.print(details, markup=False, style="dim", soft_wrap=True)

    def stopping(self) -> None:
        terminal.out.print("\nStopping; open answers may finish. Ctrl-C again stops at once.")
