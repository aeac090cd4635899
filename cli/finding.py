"""What `twinport doctor` finds out about one part."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "off", "broken"]
"""`off`: an optional part that is not there. `broken`: something that Twinport needs does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`detail` says how it stands, `advice` what to do about it (empty: nothing)."""

    part: str
    state: State
    detail: str
    advice: str = ""
