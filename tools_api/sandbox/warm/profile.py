"""Which jobs can be run warm, and how many sandboxes wait for them. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tools_api.sandbox.limits import Limits
from tools_api.sandbox.outcome import Job, ReadOnlyTree

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmProfile:
    """Jobs that run a script and have exactly these trees and this environment can be run warm.

    `preload` is a script in one of the trees, see `inside/zygote.py`; None forks a bare interpreter. `limits` are what
    the waiting sandboxes are made for; tighter ones are set when a job comes.
    """

    workers: int
    trees: tuple[ReadOnlyTree, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    preload: str | None = None
    limits: Limits = field(default_factory=Limits)
    renew_after_s: float = HOUR_S
    """Age at which a zygote is replaced, and with it the layout of the memory that its forks have in common."""

    def fits(self, job: Job) -> bool:
        """Say whether a fork of this zygote is what the job asked for."""
        ordinary = job.channel is None and not job.loopback and job.bounded_address_space
        return ordinary and job.script is not None and job.trees == self.trees and dict(job.env) == dict(self.env)

    def fingerprint(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes when a tree is replaced by another of the same name, as an installation does."""
        status = [tree.source.stat() for tree in self.trees]
        return tuple((entry.st_dev, entry.st_ino, entry.st_mtime_ns) for entry in status)
