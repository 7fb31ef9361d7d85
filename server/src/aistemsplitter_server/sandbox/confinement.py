"""Confining a process before it decodes a hostile file.

It can only compute, and read and write files that are open already.
"""

from __future__ import annotations

import errno
import resource
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

from aistemsplitter_server.sandbox import seccomp
from aistemsplitter_server.sandbox.seccomp import ALLOW, REFUSE, Rule

DECODER_MEMORY = 2 << 30  # bytes of address space, most of it never used

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 1030

DECODER_RULES = (
    *(Rule(call, ALLOW) for call in (
        # On files, pipes and sockets that are open already.
        "read", "write", "readv", "writev", "pread64", "lseek", "ftruncate", "close", "dup",
        "fstat", "newfstatat",  # what fstat is in newer C libraries
        "poll", "ppoll", "sendto", "sendmsg", "recvfrom", "recvmsg",
        "mmap", "munmap", "mremap", "mprotect", "madvise", "brk",
        "futex", "set_robust_list", "rseq", "membarrier",
        "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
        "getpid", "gettid", "getrusage", "sched_yield", "sched_getaffinity", "getrandom",
        "clock_gettime", "clock_nanosleep", "nanosleep",
        "exit", "exit_group",
    )),
    # Its other commands can make the kernel send signals to other processes.
    Rule("fcntl", ALLOW, 1, (F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC)),
)  # fmt: skip


def confine_decoder(*, seconds: int, largest_file: int = 0) -> None:
    """Confine this process to computing and to open files. It must have a single thread.

    Where there is no seccomp (anywhere but on Linux), only the resource limits apply.

    Args:
        seconds: Limit of processor time.
        largest_file: Limit of the size of a written file, in bytes.

    Raises:
        OSError: This system cannot confine the process; it must not open anything hostile then.
    """
    load_decoders()
    limit(resource.RLIMIT_AS, DECODER_MEMORY)
    limit(resource.RLIMIT_CPU, seconds)
    limit(resource.RLIMIT_FSIZE, largest_file)
    limit(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        # A filter applies to the thread that installs it, and to those that it starts.
        if len([*Path("/proc/self/task").iterdir()]) > 1:
            raise OSError(errno.EBUSY, "the process cannot be confined: it has several threads")
        seccomp.install(DECODER_RULES, REFUSE)


def has_less_memory() -> bool:
    """Return whether limits of this process leave its decoders less than ``DECODER_MEMORY``."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    return hard != resource.RLIM_INFINITY and hard < DECODER_MEMORY


def load_decoders() -> None:
    """Import all that decoding may need. A confined process can open no file."""
    import av
    import soxr  # noqa: F401

    import aistemsplitter_engine.audio  # noqa: F401

    for module in walk_packages(av.__path__, "av."):
        if module.name != "av.__main__":  # PyAV imports some of its modules only when it needs them
            import_module(module.name)


def limit(kind: int, value: int) -> None:
    """Set a resource limit for good, or keep a lower one."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    # Over its soft limit of processor time, a process gets SIGXCPU. Over the hard one it would get
    # SIGKILL, which is also how the kernel ends it if memory is short.
    above = 1 if kind == resource.RLIMIT_CPU and value != hard else 0
    resource.setrlimit(kind, (value, value + above))
