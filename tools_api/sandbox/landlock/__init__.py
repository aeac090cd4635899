"""The level `landlock-seccomp`: runs where namespaces are refused, as in most containers. Weaker than `ns-seccomp`.

Each run has a confined interpreter of its own: Landlock lets it read the system's libraries, its interpreter and the
trees that our code names, and write to two fresh folders; the list of system calls has no sockets but connected pairs,
and nothing that reaches another process of the same user; limits of each process and of all together; an empty
environment. Root gives each run a uid of its own; an ordinary user needs Linux 6.12, whose Landlock keeps signals in.
A keeper outside of the run's reach reaps what it leaves and ends all of it at once.

An operator has to name this level in SANDBOX_LEVELS. Where several tenants' code runs it belongs behind a machine or a
pod of its own (see `deploy/kubernetes`), because it shares with its host what namespaces would hide.

Covered, each by a test that attacks it (`tests/tools_api/sandbox/landlock/`) and by the self-test: files of the host,
for reading and writing; the network; sockets by name or path; other processes, their memory, environment, limits and
signals; the kernel's rarely used doors; memory, processor time, files and output; daemons that outlive their run.

NOT covered, beyond what `tools_api/sandbox` says of all levels:
* Names. That a file is there, its size, its times, and where a link leads can be asked of every path (Landlock does not
  look at stat, readlink and chdir), /dev/shm's included; whether a process has some number too.
* Path sockets are out of reach only because no socket can be made: what needs one (`multiprocessing.Manager`, an event
  loop's server) fails. /proc, /tmp and /dev/shm are closed: queues and locks of `multiprocessing` fail as well.
* Modes and owners can't be changed: chmod and chown say that it is done, and it is not. Times can be, of any file that
  belongs to the run's user: for a service that runs as an ordinary user, of its own files too.
* The disk in sum. The folders are measured ten times a second: more can be written in between, and files that are
  deleted and held open are not seen. Put the folder for temporary files (TMPDIR) on a volume with a size.
* For an ordinary user, the number of processes is counted by the kernel over all runs together, so that many at once
  can keep each other from starting more; and if something else kills a keeper (the machine is out of memory, say),
  what it kept lives on.
"""

from tools_api.sandbox.landlock.level import LandlockSeccomp

__all__ = ["LandlockSeccomp"]
