"""What a process that decodes gives up before it reads a hostile file.

It may only compute, and read and write what is open already.
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

DECODER_MEMORY = 2 << 30  # bytes of address space, most of it never touched

F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC = 0, 1, 2, 3, 1030

DECODER_RULES = (
    *(Rule(call, ALLOW) for call in (
        # On files, pipes and sockets that are open already.
        "read", "write", "readv", "writev", "pread64", "lseek", "ftruncate", "close", "dup",
        "fstat", "newfstatat",  # what fstat is in a newer C library
        "poll", "ppoll", "sendto", "sendmsg", "recvfrom", "recvmsg",
        "mmap", "munmap", "mremap", "mprotect", "madvise", "brk",
        "futex", "set_robust_list", "rseq", "membarrier",
        "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
        "getpid", "gettid", "getrusage", "sched_yield", "sched_getaffinity", "getrandom",
        "clock_gettime", "clock_nanosleep", "nanosleep",
        "exit", "exit_group",
    )),
    # Its other commands can have the kernel send signals to other processes.
    Rule("fcntl", ALLOW, 1, (F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC)),
)  # fmt: skip


def confine_decoder(*, seconds: int, largest_file: int = 0) -> None:
    """Give up all but computing and using what is open. The process must have one thread.

    Where there is no seccomp (anything but Linux), only the limits hold.

    Args:
        seconds: limit of processor time.
        largest_file: limit of the size of a file that is written, in bytes.

    Raises:
        OSError: this system cannot confine it; then it must not open anything hostile.
    """
    load_decoders()
    limit(resource.RLIMIT_AS, DECODER_MEMORY)
    limit(resource.RLIMIT_CPU, seconds)
    limit(resource.RLIMIT_FSIZE, largest_file)
    limit(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        # A filter holds for the thread that installs it, and those that this one starts.
        if len([*Path("/proc/self/task").iterdir()]) > 1:
            raise OSError(errno.EBUSY, "the process cannot be confined: it has several threads")
        seccomp.install(DECODER_RULES, REFUSE)


def load_decoders() -> None:
    """Import all that decoding may need; once confined, the process can open no file."""
    import av
    import soxr  # noqa: F401

    import aistemsplitter_engine.audio  # noqa: F401

    for module in walk_packages(av.__path__, "av."):
        if module.name != "av.__main__":  # PyAV imports some of itself only when it meets them
            import_module(module.name)


def limit(kind: int, value: int) -> None:
    """Set a resource limit for good, or keep a lower one."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    # A process over its soft limit of processor time gets SIGXCPU. Over the hard one it would get
    # SIGKILL, which is how the kernel ends it if memory is short.
    above = 1 if kind == resource.RLIMIT_CPU and value != hard else 0
    resource.setrlimit(kind, (value, value + above))
