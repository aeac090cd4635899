"""`python -m tools_api`: serve the tools API with the settings of the environment and `.env`."""

import os
import sys

from config import SettingsError, load_settings
from shared.logging import configure_logging
from shared.serve import CannotListen, allow_open_files, bind, serve


def main() -> int:
    """Serve until a signal; 2 for a wrong setting, 1 for an address that cannot be had."""
    os.umask(0o077)  # what the server writes is for its user alone
    allow_open_files()  # collections take about eight each
    try:
        settings = load_settings()
        listener = bind(settings.host, settings.tools_port, variable="TOOLS_PORT")
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    except CannotListen as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    from tools_api.app import create_app  # a second of imports, which a wrong setting need not wait for

    configure_logging(service="tools_api", level=settings.log_level)
    serve(create_app(settings), listener, grace_s=settings.shutdown_grace_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
