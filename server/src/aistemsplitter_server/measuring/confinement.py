"""What a process gives up before it touches a hostile file: all but computing on what is open.

A seccomp filter (Linux on x86-64 and ARM64) lets through the system calls that decoding takes. None
opens a file, makes a socket, starts a process or signals one; what is not listed fails with EPERM.
Limits on memory, time and file sizes hold everywhere.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import struct
import sys

ALLOWED = {
    # name: numbers on x86-64 and ARM64, -1 where there is none
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "close": (3, 57),
    "dup": (32, 23),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    "newfstatat": (262, 79),  # what fstat is in a newer C library
    "poll": (7, -1),
    "ppoll": (271, 73),
    "sendto": (44, 206),  # on the socket that it was born with
    "sendmsg": (46, 211),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrusage": (98, 165),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF: load a word, jump if equal, return
NUMBER, ARCHITECTURE = 0, 4  # offsets in what the filter sees
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000


def confine(*, memory: int, seconds: int) -> None:
    """Give all of it up, for good.

    Args:
        memory: bytes of address space.
        seconds: of the processor's time.

    Raises:
        OSError: this system cannot; then nothing hostile may be opened.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _filter_system_calls()


def _filter_system_calls() -> None:
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no confinement is known for {machine}")
    column, architecture = ARCHITECTURES[machine]
    numbers = [each[column] for each in ALLOWED.values() if each[column] >= 0]
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),  # another way to call: its numbers mean something else
        (LOAD, 0, 0, NUMBER),
        *((EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for call in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0),
    ):
        if prctl(*call):
            raise OSError(ctypes.get_errno(), "the confinement is not possible")
