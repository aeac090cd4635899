"""`python -m tools_api.runner`: serve the sandbox alone, with the settings of the environment and `.env`."""

import os
import sys

from config import Settings, SettingsError, load_settings
from shared.logging import configure_logging
from shared.serve import CannotListen, bind, serve


def main() -> int:
    """Serve until a signal; 2 for a wrong setting, 1 for an address that cannot be had."""
    os.umask(0o077)
    try:
        settings = load_settings()
        _must_fit(settings)
        listener = bind(settings.host, settings.runner_port, variable="RUNNER_PORT")
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    except CannotListen as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    from tools_api.runner.app import create_runner  # a second of imports, which a wrong setting need not wait for

    configure_logging(service="runner", level=settings.log_level)
    serve(create_runner(settings), listener, grace_s=settings.shutdown_grace_s)
    return 0


def _must_fit(settings: Settings) -> None:
    """Refuse settings that make no runner. Raises `SettingsError`."""
    if settings.sandbox_remote_secret() is None:
        raise SettingsError("SANDBOX_REMOTE_KEY: a runner needs the key that its tools API has")
    if "remote" in settings.sandbox_levels:
        raise SettingsError("SANDBOX_LEVELS: a runner runs code itself; name its own levels, not `remote`")


if __name__ == "__main__":
    sys.exit(main())
