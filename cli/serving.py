"""Both servers in the foreground: what is run where, what is in the way, and what the terminal shows."""

import asyncio
from dataclasses import replace

from cli import terminal
from cli.instance import DataFolderRefused, Instance, end, only_instance
from cli.plan import Plan, make_plan
from cli.ports import PortUnusable, check_port, free_port
from cli.server_process import ServerFailed, ServerSpec, trim_log
from cli.supervisor import Patience, Supervisor
from config import Settings


def run(settings: Settings, *, tools_only: bool, main_only: bool) -> None:
    """Run the servers of `settings` until asked to stop; what is in the way ends the program with a sentence."""
    plan = make_plan(settings, tools_only=tools_only, main_only=main_only)
    try:
        with only_instance(settings.data_dir) as instance:
            _clear_leftovers(instance)
            plan = _settle_ports(plan)
            asyncio.run(_supervise(plan, settings, instance))
    except (DataFolderRefused, PortUnusable, ServerFailed) as error:
        terminal.fail(str(error))


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
    return replace(plan, **chosen)


def _clear_leftovers(instance: Instance) -> None:
    if left := instance.left_behind():
        pids = ", ".join(str(process.pid) for process in left)
        terminal.out.print(f"An earlier start was killed and left servers running (process {pids}); stopping them.")
        end(left)


async def _supervise(plan: Plan, settings: Settings, instance: Instance) -> None:
    specs = plan.specs()
    for spec in specs:
        trim_log(spec.log)
    main_url = None if plan.main_port is None else plan.main_url
    tools_url = None if plan.tools_port is None else plan.tools_url
    supervisor = Supervisor(
        specs,
        voice=_TerminalVoice(plan),
        on_change=lambda pids: instance.remember(pids, main_url=main_url, tools_url=tools_url),
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
