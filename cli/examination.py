"""All checks of `twinport doctor`, side by side and each with an end."""

import asyncio
from collections.abc import Awaitable

from cli import machine_checks, part_checks
from cli.finding import Finding
from cli.settings import quiet_logs
from config import SettingsError, load_settings
from shared.http_client import create_http_session

_PATIENCE_S = 45.0


async def examine() -> list[Finding]:
    """Return the findings, in the order in which parts build on each other."""
    quiet_logs()
    first = [machine_checks.python(), machine_checks.packages(), machine_checks.env_file()]
    try:
        settings = load_settings()
    except SettingsError as error:
        return [*first, Finding(part="settings", state="broken", detail=str(error), advice="Correct it in .env.")]
    async with create_http_session(connect_timeout_s=3, read_timeout_s=30) as http:
        checks = {
            "database": part_checks.database(settings),
            "tools API": machine_checks.tools_server(http, settings),
            "main API": machine_checks.main_server(http, settings),
            "sandbox": part_checks.sandbox(settings),
            "engine": part_checks.engine(http, settings),
            "encoder": part_checks.encoder(settings),
            "ollama": part_checks.ollama(http, settings),
            "providers": part_checks.providers(settings),
            "network": part_checks.network(http, settings),
        }
        found = await asyncio.gather(*(_bounded(part, check) for part, check in checks.items()))
    return [*first, machine_checks.data_folder(settings), *found]


async def _bounded(part: str, check: Awaitable[Finding]) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await check
    except TimeoutError:
        return Finding(part=part, state="broken", detail=f"the check did not come back within {_PATIENCE_S:.0f} s")
    except (ImportError, OSError) as error:  # a package or a file of this copy is missing or damaged
        advice = "Set up again: remove .venv, then bash deploy/bootstrap.sh runtime"
        return Finding(part=part, state="broken", detail=f"{type(error).__name__}: {error}", advice=advice)
