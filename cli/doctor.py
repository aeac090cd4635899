"""`twinport doctor`: what works on this machine, what is missing, and what to do about it."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.finding import Finding

_MARKS = {"ok": "[green]✓[/green]", "off": "[yellow]-[/yellow]", "broken": "[red]✗[/red]"}


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Check what works here, what is missing and what to do. Fails if something that is needed is broken."""
    import asyncio

    from cli import terminal
    from cli.examination import examine

    findings = asyncio.run(examine())
    if as_json:
        _print_json(findings)
    else:
        for finding in findings:
            _print(finding)
        broken = sum(finding.state == "broken" for finding in findings)
        off = sum(finding.state == "off" for finding in findings)
        verdict = f"[red]{broken} broken[/red]" if broken else "[green]Everything that is needed works[/green]"
        terminal.out.print(f"\n{verdict}; {off} optional part(s) off.")
    if any(finding.state == "broken" for finding in findings):
        raise SystemExit(1)


def _print(finding: "Finding") -> None:
    from rich.text import Text

    from cli import terminal

    mark = Text.from_markup(_MARKS[finding.state])
    terminal.out.print(Text.assemble(mark, f" {finding.part:<10} {finding.detail}"), soft_wrap=True)
    if finding.advice:
        terminal.out.print(Text(f"             → {finding.advice}", style="dim"), soft_wrap=True)


def _print_json(findings: "list[Finding]") -> None:
    import json
    from dataclasses import asdict

    ok = all(finding.state != "broken" for finding in findings)
    print(json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}, indent=2))
