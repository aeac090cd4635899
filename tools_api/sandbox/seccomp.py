"""The system calls that sandboxed code may make: a list of what is allowed, everything else is EPERM.

Namespaces hide the host's things; this list hides the host kernel's rarely used doors (io_uring, bpf, keyrings,
user faults, AF_VSOCK …), which namespaces leave open. numpy, pandas and matplotlib work under it.
"""

import errno
import platform
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyseccomp

# pyseccomp is imported inside functions: it loads libseccomp when it is imported and fails where there is none.

_FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
fchdir fchmod fchmodat fchown fchownat fdatasync fgetxattr flistxattr flock fstat fstatfs fsync ftruncate futimesat
getcwd getdents getdents64 getxattr lchown lgetxattr link linkat listxattr llistxattr lseek lstat mkdir mkdirat mknod
mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv rename renameat renameat2 rmdir sendfile stat statfs statx symlink symlinkat sync sync_file_range
syncfs truncate umask unlink unlinkat utime utimensat utimes write writev
"""
_MEMORY = "brk madvise mincore mmap mprotect mremap msync munmap pkey_alloc pkey_free pkey_mprotect"
_PROCESSES = """
execve execveat exit exit_group fork vfork getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid gettid
kill tkill tgkill pause pidfd_open pidfd_send_signal prlimit64 rseq sched_get_priority_max sched_get_priority_min
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_yield
set_robust_list get_robust_list set_tid_address setpgid setpriority setrlimit setsid sysinfo times uname wait4 waitid
arch_prctl capget getcpu membarrier
"""
_USERS = "getegid geteuid getgid getgroups getresgid getresuid getuid"
_SIGNALS = """
alarm getitimer setitimer restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd signalfd4
"""
_TIME = """
clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time timer_create timer_delete timer_getoverrun
timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
"""
_WAITING = """
epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 futex futex_waitv
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch pipe pipe2 poll ppoll pselect6 select
"""
_LOCAL_SOCKETS = """
accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto
setsockopt shutdown
"""
_OTHER = "fcntl getrandom"

ALLOWED = tuple(
    " ".join([_FILES, _MEMORY, _PROCESSES, _USERS, _SIGNALS, _TIME, _WAITING, _LOCAL_SOCKETS, _OTHER]).split()
)
# Absent on purpose, though harmless to the host's files: memfd_create, SysV and POSIX IPC (memory that no process maps
# escapes the watchdog), splice, vmsplice and tee (a history of kernel bugs), set*id and mount (nothing to gain).

# Between runs that no namespaces keep apart, calls that reach what Landlock does not guard: sockets that have a name
# (what is left is a connected pair), reading along what others do with files, and cutting off a file by its path.
_KEPT_FROM_SHARED = (
    "accept accept4 bind connect listen inotify_add_watch inotify_init inotify_init1 inotify_rm_watch truncate"
)
# Modes and owners can be changed of any file of the same user, and programs do it all the time to their own: they hear
# that it is done, and it is not.
_WITHOUT_EFFECT = "chmod fchmod fchmodat chown fchown fchownat lchown"
# Allowed for the caller itself, not for another process of the same user: these arguments must be 0.
_OF_THE_CALLER = {"prlimit64": (0,), "sched_setaffinity": (0,), "setpriority": (0, 1)}

# Terminal size and kind, non-blocking and close-on-exec flags, bytes waiting; not TIOCSTI, which types for the user.
ALLOWED_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# PR_{SET,GET}_PDEATHSIG, PR_{GET,SET}_DUMPABLE, PR_{SET,GET}_NAME, PR_CAPBSET_READ, PR_{SET,GET}_NO_NEW_PRIVS
ALLOWED_PRCTLS = (1, 2, 3, 4, 15, 16, 23, 38, 39)
# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; NEWTIME is not a clone() flag
NAMESPACE_FLAGS = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
_SOCK_STREAM = 1
_SOCK_KIND = 0xFFFF_FFFF & ~(0o4000 | 0o2000000)  # all of socket()'s type but SOCK_NONBLOCK and SOCK_CLOEXEC
_TCP = (0, 6)  # not MPTCP, SCTP or SMC, which are stream sockets too


class SeccompUnavailable(Exception):
    """The filter can't be built here; the message says what is missing."""


def compile_filter(machine: str | None = None, *, loopback: bool = False, namespaces: bool = True) -> bytes:
    """Compile the list to BPF for `machine` (`x86_64` or `aarch64`), by default this one. Without `namespaces` that
    keep a run from its neighbours the list is shorter, and has no loopback.

    With `loopback` it allows TCP sockets of IPv4 and IPv6 as well, for programs that talk HTTP to themselves. What
    keeps them from the network is then the network namespace alone, which holds nothing but a loopback of its own.

    Raises `SeccompUnavailable` where there is no libseccomp, or no list for the machine.
    """
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError):
        raise SeccompUnavailable("libseccomp is missing: apt-get install libseccomp2") from None
    native = platform.machine()
    wanted = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}.get(machine or native)
    if wanted is None:
        raise SeccompUnavailable(f"the system call filter knows x86_64 and aarch64, not {native}")
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    if wanted != pyseccomp.system_arch():
        rules.add_arch(wanted)
        rules.remove_arch(pyseccomp.system_arch())
    if not namespaces:
        _add_rules_for_neighbours(rules)
    else:
        _add_rules(rules)
        if loopback:
            _add_tcp(rules)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _add_rules(rules: "pyseccomp.SyscallFilter") -> None:
    from pyseccomp import ALLOW, EQ, Arg

    for call in ALLOWED:
        rules.add_rule(ALLOW, call)
    for call in ("socket", "socketpair"):
        rules.add_rule(ALLOW, call, Arg(0, EQ, AF_UNIX))
    _add_common_rules(rules)


def _add_rules_for_neighbours(rules: "pyseccomp.SyscallFilter") -> None:
    from pyseccomp import ALLOW, EQ, ERRNO, MASKED_EQ, Arg

    special = {*_KEPT_FROM_SHARED.split(), *_WITHOUT_EFFECT.split(), *_OF_THE_CALLER}
    for call in ALLOWED:
        if call not in special:
            rules.add_rule(ALLOW, call)
    for call in _WITHOUT_EFFECT.split():
        rules.add_rule(ERRNO(0), call)
    for call, places in _OF_THE_CALLER.items():
        rules.add_rule(ALLOW, call, *(Arg(place, EQ, 0) for place in places))
    # a datagram socket could be told an address with each message
    rules.add_rule(ALLOW, "socketpair", Arg(0, EQ, AF_UNIX), Arg(1, MASKED_EQ, _SOCK_KIND, _SOCK_STREAM))
    _add_common_rules(rules)


def _add_common_rules(rules: "pyseccomp.SyscallFilter") -> None:
    from pyseccomp import ALLOW, EQ, ERRNO, MASKED_EQ, Arg

    for request in ALLOWED_IOCTLS:
        rules.add_rule(ALLOW, "ioctl", Arg(1, EQ, request))
    for option in ALLOWED_PRCTLS:
        rules.add_rule(ALLOW, "prctl", Arg(0, EQ, option))
    rules.add_rule(ALLOW, "clone", Arg(0, MASKED_EQ, NAMESPACE_FLAGS, 0))
    # clone3 hides its flags behind a pointer; ENOSYS makes the C library fall back to clone
    rules.add_rule(ERRNO(errno.ENOSYS), "clone3")


def _add_tcp(rules: "pyseccomp.SyscallFilter") -> None:
    from pyseccomp import ALLOW, EQ, MASKED_EQ, Arg

    for family in (AF_INET, AF_INET6):
        for protocol in _TCP:
            kind = Arg(1, MASKED_EQ, _SOCK_KIND, _SOCK_STREAM)
            rules.add_rule(ALLOW, "socket", Arg(0, EQ, family), kind, Arg(2, EQ, protocol))
