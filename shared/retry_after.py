"""Read how long a peer wants to be left alone."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_LONGEST_S = 3_600.0


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After (seconds or a date, RFC 9110 §10.2.3) as seconds from now, within an hour."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        seconds = float(value) if value.replace(".", "", 1).isdigit() else _seconds_until(value)
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_S)


def _seconds_until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
