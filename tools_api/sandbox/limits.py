"""How much one run may use. Plain numbers; nothing here enforces them."""

from dataclasses import dataclass, fields, replace

MIB = 1 << 20
OWN_PROCESSES = 2
"""What a sandbox has beside the code: the first process of its pid namespace, and the supervisor. Where the first one
is not of the code's user namespace, the code may have one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one run. Seconds, bytes, counts; all hold for the run as a whole unless it says "each process".

    `memory_bytes` counts all processes together. With a memory cgroup it counts the files in the run's tmpfs too;
    with the watchdog those come on top, bounded by `workspace_bytes`, `scratch_bytes` and `inodes`.
    """

    wall_s: float = 30.0
    cpu_s: float = 30.0
    memory_bytes: int = 1024 * MIB
    workspace_bytes: int = 128 * MIB
    scratch_bytes: int = 64 * MIB
    """The sandbox's folders for temporary files and for shared memory, each."""
    file_bytes: int = 64 * MIB
    """One file, each process (RLIMIT_FSIZE)."""
    inodes: int = 20_000
    """Files in one of the run's tmpfs; only where the watchdog can see them."""
    processes: int = 64
    """Processes and threads of the code at once, its first one included."""
    open_files: int = 256
    output_bytes: int = 256 * 1024
    """stdout and stderr, each; one byte more ends the run."""
    max_files: int = 32
    max_file_bytes: int = 32 * MIB
    """Output files, together."""
    input_bytes: int = 64 * MIB
    """Input files, together."""

    def within(self, maximum: "Limits") -> "Limits":
        """Cut every limit to that of `maximum`."""
        names = [limit.name for limit in fields(Limits)]
        return Limits(**{name: min(getattr(self, name), getattr(maximum, name)) for name in names})

    def in_a_session_of(self, first: "Limits") -> "Limits":
        """Return what holds for a later call of a session: its own limits of time, output and files that come back;
        all others are the sandbox's, which the `first` call has made."""
        return replace(
            first,
            wall_s=self.wall_s,
            cpu_s=self.cpu_s,
            output_bytes=self.output_bytes,
            max_files=self.max_files,
            max_file_bytes=self.max_file_bytes,
        )

    def address_space_bytes(self) -> int:
        """Bound the address space of each process: numpy and OpenBLAS reserve far more than they touch."""
        return max(2 * self.memory_bytes, self.memory_bytes + 1024 * MIB)

    def as_rlimits(self, *, bounded_address_space: bool = True) -> str:
        """Render the limits of each process for the supervisor, which sets them inside the user namespace.

        Inside, RLIMIT_NPROC counts this sandbox's processes; outside it would count all that share the uid.
        """
        rlimits = {
            "cpu": max(1, round(self.cpu_s + 0.499)),
            "fsize": self.file_bytes,
            "nproc": self.processes + OWN_PROCESSES,
            "nofile": self.open_files,
            "core": 0,
            "memlock": 0,
            "msgqueue": 0,
        }
        if bounded_address_space:
            rlimits["as"] = self.address_space_bytes()
        return ",".join(f"{name}={value}" for name, value in rlimits.items())
