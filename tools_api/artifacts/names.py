"""File names that came from a tool: what of them may be kept, and how they are said in a header."""

import re
import unicodedata
from urllib.parse import quote

MAX_NAME = 120

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_MEDIA_TYPE = re.compile(
    r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}(?:; ?charset=[a-z0-9-]{1,20})?"
)


def safe_name(name: str) -> str:
    """Return a base name without path, control, direction-changing or reserved parts; `file` if nothing is left."""
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(character for character in base if not unicodedata.category(character).startswith("C"))
    kept = re.sub(r'[<>:"|?*]', "_", kept).strip(" .")
    if not kept or _RESERVED.fullmatch(kept):
        kept = f"file_{kept}" if kept else "file"
    stem, dot, suffix = kept.rpartition(".")
    if len(kept) <= MAX_NAME:
        return kept
    return f"{stem[: MAX_NAME - len(suffix) - 1]}.{suffix}" if dot and len(suffix) <= 16 else kept[:MAX_NAME]


def safe_media_type(media_type: str) -> str:
    """Return the type if it has the form of one, else the type of bytes that are nothing in particular."""
    lowered = media_type.lower().strip()
    return lowered if _MEDIA_TYPE.fullmatch(lowered) else "application/octet-stream"


def attachment(name: str) -> str:
    """Return a `Content-Disposition` that saves and never shows (RFC 6266, with RFC 8187 for other than ASCII)."""
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace("\\", "_").replace('"', "_")
    header = f'attachment; filename="{ascii_name}"'
    return header if ascii_name == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
