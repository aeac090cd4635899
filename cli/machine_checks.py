"""Checks of the machine and of this copy: Python, packages, settings, the data folder, ports. Nothing is changed."""

import hashlib
import json
import os
import platform
import re
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import aiohttp

from cli import terminal
from cli.finding import Finding
from cli.health import ask_health
from cli.instance import running
from cli.plan import reachable
from cli.ports import PortUnusable, check_port
from config import Settings

_LITTLE_SPACE = 1_000_000_000
_NO_SPACE = 100_000_000


def python() -> Finding:
    """Say which Python runs us."""
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info[:2] <= (3, 14):
        return Finding(part="python", state="ok", detail=detail)
    return Finding(part="python", state="broken", detail=detail, advice="Use Python 3.11 to 3.14.")


def packages(root: Path = terminal.ROOT, prefix: str = sys.prefix) -> Finding:
    """Compare what `.venv` was made from with the lock file as it is now."""
    if Path(prefix).resolve() != (root / ".venv").resolve():
        return Finding(part="packages", state="ok", detail=f"from {prefix}, not made by start_servers.sh")
    try:
        known: dict[str, Any] = json.loads((root / ".venv" / ".twinport-setup").read_text(encoding="utf-8"))
        wanted = hashlib.sha256((root / "deploy" / "locks" / "runtime.lock").read_bytes()).hexdigest()
        current = known["installing"] is None and known["locks"].get("runtime") == wanted
    except (OSError, ValueError, KeyError):
        current = False
    if current:
        return Finding(part="packages", state="ok", detail="as locked")
    return Finding(
        part="packages",
        state="broken",
        detail=".venv is not what deploy/locks/runtime.lock says",
        advice="Run: bash deploy/bootstrap.sh runtime",
    )


def env_file(root: Path = terminal.ROOT) -> Finding:
    """Look for names in `.env` that no setting has: they are misspelt, or do nothing."""
    try:
        text = (root / ".env").read_text(encoding="utf-8")
    except FileNotFoundError:
        return Finding(part="settings", state="ok", detail="no .env; the environment and the defaults hold")
    except (OSError, UnicodeError) as error:
        return Finding(part="settings", state="broken", detail=f".env cannot be read ({error})")
    names = re.findall(r"^\s*(?:export\s+)?(\w+)\s*=", text, re.MULTILINE)
    unknown = [name for name in names if name.lower() not in Settings.model_fields]
    if not unknown:
        return Finding(part="settings", state="ok", detail=f".env sets {len(names)}")
    return Finding(
        part="settings",
        state="broken",
        detail=f".env sets what no setting is called: {', '.join(unknown)}",
        advice="Compare with .env.example, which has them all.",
    )


def data_folder(settings: Settings) -> Finding:
    """Check that the data folder can be written, has room and keeps its secrets to itself."""
    folder = settings.data_dir
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{folder}, {free / 1e9:.1f} GB free"
    if not _writable(existing):
        return Finding(part="data", state="broken", detail=f"{folder} cannot be written", advice="Change DATA_DIR.")
    if exposed := _exposed_secrets(folder / "secrets"):
        return Finding(
            part="data",
            state="broken",
            detail=f"others can read {', '.join(exposed)} in {folder / 'secrets'}",
            advice=f"Run: chmod 600 {folder / 'secrets'}/*",
        )
    if free < _NO_SPACE:
        return Finding(part="data", state="broken", detail=detail, advice="Make room, or change DATA_DIR.")
    advice = "Little room: models take several GB each." if free < _LITTLE_SPACE else ""
    return Finding(part="data", state="ok", detail=detail, advice=advice)


async def main_server(http: aiohttp.ClientSession, settings: Settings) -> Finding:
    """Say whether the main API of this data folder answers where it runs, or could be started where it would."""
    known = running(settings.data_dir)
    if known and known.main_url:
        return await _running_server(http, "main API", known.main_url, known.pid)
    url = f"http://{reachable(settings.host)}:{settings.main_api_port}"
    return await _server(http, "main API", url, (settings.host, settings.main_api_port, "--port"))


async def tools_server(http: aiohttp.ClientSession, settings: Settings) -> Finding:
    """Say whether the tools API answers where the main API looks for it."""
    known = running(settings.data_dir)
    if known and known.tools_url:
        return await _running_server(http, "tools API", known.tools_url, known.pid)
    local = settings.tools_host in {"127.0.0.1", "localhost", "::1", settings.host}
    own = (settings.host, settings.tools_port, "--tools-port") if local else None
    return await _server(http, "tools API", settings.tools_base_url, own)


async def _running_server(http: aiohttp.ClientSession, name: str, url: str, pid: int) -> Finding:
    if answer := await _answer(http, name, url):
        return answer
    detail = f"no answer at {url}, though process {pid} runs it"
    return Finding(part=name, state="broken", detail=detail, advice="It may be starting again; see the folder logs.")


async def _server(http: aiohttp.ClientSession, name: str, url: str, own: tuple[str, int, str] | None) -> Finding:
    if answer := await _answer(http, name, url):
        return answer
    if own is None:
        return Finding(
            part=name, state="broken", detail=f"no answer at {url}", advice="Start it there, or correct TOOLS_HOST."
        )
    host, port, flag = own
    try:
        check_port(host, port, purpose=name, flag=flag)
    except PortUnusable as error:
        return Finding(part=name, state="broken", detail=str(error))
    return Finding(part=name, state="off", detail=f"not running; port {port} is free", advice="bash start_servers.sh")


async def _answer(http: aiohttp.ClientSession, name: str, url: str) -> Finding | None:
    health = await ask_health(http, url + "/health")
    if health is None:
        return None
    status = str(health.get("status", "?"))
    remark = f": {health['message']}" if status.lower() == "degraded" and health.get("message") else ""
    return Finding(part=name, state="ok", detail=f"answers at {url}, {status}{remark}")


def _writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _exposed_secrets(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    readable = stat.S_IRWXG | stat.S_IRWXO
    return [file.name for file in folder.iterdir() if file.is_file() and file.stat().st_mode & readable]
