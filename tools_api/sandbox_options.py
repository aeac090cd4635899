"""From the settings to the sandbox's options, for both processes that have a sandbox: the tools API and the runner."""

import sys
from dataclasses import replace
from pathlib import Path

from config import Settings
from tools_api.python_coder import warm_profile
from tools_api.python_coder.runtime import SCRIPTS
from tools_api.rag.parsing import Bounds, ParsingOptions
from tools_api.sandbox import Limits, RemoteOptions, SandboxOptions, SessionOptions

PACKAGES = Path(sys.prefix) / "sandbox-packages"
"""Where the set-up puts what code may import."""
_MIB = 1024 * 1024


def sandbox_options(settings: Settings) -> SandboxOptions:
    """Return what the operator has decided. Raises `SettingsError` for a key file that can't be read."""
    native = settings.python_executor_mode == "native"
    warm = warm_profile(PACKAGES, workers=settings.sandbox_warm_workers, preload=settings.sandbox_warm_preload)
    return SandboxOptions(
        levels=tuple(settings.sandbox_levels),
        limits=_limits(settings) if native else _agent_limits(settings),
        concurrency=settings.sandbox_concurrency,
        sessions=SessionOptions(
            most=settings.sandbox_sessions,
            most_of_owner=settings.sandbox_sessions_per_workspace,
            idle_s=settings.sandbox_session_idle_s,
        ),
        warm=warm if native else None,
        remote=_remote(settings),
    )


def parsing_options(settings: Settings) -> ParsingOptions:
    """Return how documents are read: in sandboxes of the same levels, with bounds of their own."""
    return ParsingOptions(
        sandbox=sandbox_options(settings),
        packages=PACKAGES,
        bounds=Bounds(
            file_bytes=settings.rag_max_file_mb * _MIB,
            pages=settings.rag_max_pages,
            characters=settings.rag_max_text_chars,
            timeout_s=settings.rag_parse_timeout_s,
            memory_bytes=settings.rag_parse_memory_mb * _MIB,
        ),
        concurrency=settings.rag_parse_concurrency,
    )


def _remote(settings: Settings) -> RemoteOptions | None:
    key = settings.sandbox_remote_secret()
    if "remote" not in settings.sandbox_levels or settings.sandbox_remote_url is None or key is None:
        return None
    return RemoteOptions(url=settings.sandbox_remote_url, key=key, scripts=(SCRIPTS,))


def _limits(settings: Settings) -> Limits:
    wall_s = settings.sandbox_wall_s or settings.default_tool_timeout
    workspace_bytes = settings.sandbox_workspace_mb * _MIB
    return Limits(
        wall_s=wall_s,
        cpu_s=settings.sandbox_cpu_s or wall_s,
        memory_bytes=settings.sandbox_memory_mb * _MIB,
        workspace_bytes=workspace_bytes,
        file_bytes=max(Limits().file_bytes, workspace_bytes),
        processes=settings.sandbox_processes,
        output_bytes=settings.sandbox_output_kb * 1024,
        max_files=settings.sandbox_files,
        max_file_bytes=settings.sandbox_files_mb * _MIB,
    )


def _agent_limits(settings: Settings) -> Limits:
    """Give a coding agent its time, and room for node beside the programs that it runs."""
    limits = _limits(settings)
    return replace(
        limits,
        wall_s=settings.nanocoder_timeout,
        cpu_s=settings.nanocoder_timeout,
        processes=max(limits.processes, 128),
        open_files=max(limits.open_files, 1024),
    )
