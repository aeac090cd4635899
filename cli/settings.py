"""The settings as a command sees them: flags over the environment over `.env`; a wrong one ends the program."""

from cli import terminal
from config import Settings, SettingsError, load_settings
from shared.logging import configure_logging


def read_settings(**flags: object) -> Settings:
    """Return the settings; flags that were not given are None. Parts that are used keep their logs to themselves."""
    quiet_logs()
    try:
        return load_settings(**{name: value for name, value in flags.items() if value is not None})
    except SettingsError as error:
        terminal.fail(str(error), status=2)


def quiet_logs() -> None:
    """Show no logs: a command says in its own words what it did, and an error is one sentence."""
    configure_logging(service="cli", level="critical")
