"""Opens what parses: a sandbox with limits and slots of its own, so that parsing and `python_coder` never wait for each
other."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools_api.rag.parsing.parser import Parser
from tools_api.rag.parsing.runtime import SCRIPTS, limits_of
from tools_api.rag.parsing.values import Bounds
from tools_api.sandbox import Sandbox, SandboxOptions, SessionOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsingOptions:
    """`sandbox` says which levels may be used and how; limits and concurrency of it are set here."""

    sandbox: SandboxOptions
    packages: Path | None = None
    bounds: Bounds = field(default_factory=Bounds)
    concurrency: int = 2


@asynccontextmanager
async def open_parser(options: ParsingOptions) -> AsyncGenerator[Parser]:
    """Yield a parser. Its sandbox starts with the first file, not before."""
    own = replace(
        options.sandbox,
        limits=limits_of(options.bounds),
        concurrency=options.concurrency,
        sessions=SessionOptions(most=0),
        warm=None,
        remote=replace(options.sandbox.remote, scripts=(SCRIPTS,)) if options.sandbox.remote else None,
    )
    sandbox = Sandbox(own)
    try:
        yield Parser(sandbox, bounds=options.bounds, packages=options.packages)
    finally:
        await sandbox.aclose()
