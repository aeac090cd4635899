"""What `serve` runs here and on which addresses, from the settings and the flags."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli import terminal
from cli.instance import running
from cli.server_process import ServerSpec
from config import Settings

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_WILDCARD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a wildcard is reached from here


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run here, on which address. A port of 0 stands for any free one."""

    host: str
    main_port: int | None
    tools_port: int | None
    tools_host: str
    data_dir: Path

    @property
    def main_url(self) -> str:
        return f"http://{reachable(self.host)}:{self.main_port}"

    @property
    def tools_url(self) -> str:
        return f"http://{reachable(self.host)}:{self.tools_port}"

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


def main_address(settings: Settings) -> str:
    """Return where the main API of this data folder answers: the one that runs, else where it would be started."""
    known = running(settings.data_dir)
    return (known and known.main_url) or f"http://{reachable(settings.host)}:{settings.main_api_port}"


def reachable(host: str) -> str:
    """Return where this machine reaches what listens on `host`, ready for a URL."""
    host = _WILDCARD.get(host, host)
    return f"[{host}]" if ":" in host else host
