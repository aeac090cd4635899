"""The settings as a command sees them: flags over the environment over `.env`; a wrong one ends the program."""

from cli import terminal
from config import Settings, SettingsError, load_settings


def read_settings(**flags: object) -> Settings:
    """Return the settings; flags that were not given are None."""
    try:
        return load_settings(**{name: value for name, value in flags.items() if value is not None})
    except SettingsError as error:
        terminal.fail(str(error), status=2)
