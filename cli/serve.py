"""`twinport serve`: both servers in the foreground, from one command, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    *,
    port: Annotated[int | None, typer.Option(help="Port of the main API (MAIN_API_PORT, 10007).")] = None,
    tools_port: Annotated[int | None, typer.Option(help="Port of the tools API (TOOLS_PORT, 10006).")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST, 127.0.0.1).")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of everything written at run time (DATA_DIR).")] = None,
    tools_only: Annotated[bool, typer.Option("--tools-only", help="Only the tools API.")] = False,
    main_only: Annotated[
        bool, typer.Option("--main-only", help="Only the main API; TOOLS_HOST names the other.")
    ] = False,
) -> None:
    """Run the tools API and the main API until Ctrl-C."""
    from cli.serving import run
    from cli.settings import read_settings

    settings = read_settings(
        main_api_port=port, tools_port=tools_port, host=host, data_dir=data_dir and data_dir.absolute()
    )
    run(settings, tools_only=tools_only, main_only=main_only)
