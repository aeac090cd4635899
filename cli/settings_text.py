"""The settings as text: `.env.example` and the table of the README, both made from `config.Settings`."""

import inspect
import re
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from config import Settings

_HEADER = """\
# Settings of Twinport. Copy this file to .env and change what you need; every line shows the default.
# The environment wins over .env, the flags of start_servers.sh win over both.
# Made by `twinport env-example > .env.example`.
"""


def env_example() -> str:
    """Return `.env.example`: every setting once, commented out, under the headings of `config.py`."""
    lines = [_HEADER]
    for heading, names in _sections():
        lines.append(f"# --- {heading} ---")
        for name in names:
            field = Settings.model_fields[name]
            lines.append(f"# {field.description}")
            lines.append(f"#{name.upper()}={default_text(field)}")
        lines.append("")
    return "\n".join(lines)


def settings_table() -> str:
    """Return the settings as a Markdown table a heading."""
    parts: list[str] = []
    for heading, names in _sections():
        rows = [f"**{heading}**", "", "| variable | default | what it is |", "|---|---|---|"]
        for name in names:
            field = Settings.model_fields[name]
            default = default_text(field)
            shown = f"`{default}`" if default else ""
            rows.append(f"| `{name.upper()}` | {shown} | {(field.description or '').replace('|', '/')} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def default_text(field: FieldInfo) -> str:
    """Write a default the way that it stands in a `.env` file."""
    default = field.get_default(call_default_factory=True)  # pyright: ignore[reportUnknownMemberType]
    match default:
        case None | SecretStr():
            return ""
        case bool():
            return str(default).lower()
        case list():
            return ",".join(map(str, default))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case _:
            return str(default)


def _sections() -> Iterator[tuple[str, list[str]]]:
    """Yield the headings of `config.Settings` (its one-line comments) with the names below each."""
    heading, names = "", list[str]()
    for line in inspect.getsource(Settings).splitlines():
        if match := re.fullmatch(r" {4}# (.+)", line):
            if names:
                yield heading, names
            heading, names = match[1], []
        elif (match := re.match(r" {4}(\w+): ", line)) and match[1] in Settings.model_fields:
            names.append(match[1])
    yield heading, names
