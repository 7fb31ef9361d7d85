"""Confining the engine's process before it gets its first song.

It gets decoded audio and reads no hostile file. It may open its own files and start threads, but
has no network, no other processes, and, where the kernel has Landlock, no other files.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aistemsplitter_server.sandbox import landlock, seccomp
from aistemsplitter_server.sandbox.confinement import limit
from aistemsplitter_server.sandbox.seccomp import ALLOW, REFUSE, UNKNOWN, Rule
from aistemsplitter_server.sandbox.system_calls import NEWEST

logger = logging.getLogger(__name__)

AF_UNIX = 1
THREAD = 0x10000  # CLONE_THREAD
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902


def engine_rules(pid: int) -> tuple[Rule, ...]:
    """Return the filter of the engine's process, which may open files and start threads."""
    return (
        Rule("clone", ALLOW, 0, bits=THREAD),
        Rule("clone3", UNKNOWN),  # its flags cannot be inspected; C libraries fall back to clone
        *(Rule(call, REFUSE) for call in ("clone", "fork", "vfork", "execve", "execveat")),
        # It may signal itself, as abort() does.
        *(Rule(call, ALLOW, 0, (pid,)) for call in ("kill", "tgkill")),
        *(Rule(call, REFUSE) for call in (
            "kill", "tgkill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
            "pidfd_open", "pidfd_getfd", "ptrace", "process_vm_readv", "process_vm_writev",
            "process_madvise", "process_mrelease", "kcmp", "move_pages", "migrate_pages",
        )),
        Rule("fcntl", REFUSE, 1, (F_SETOWN, F_SETSIG, F_SETOWN_EX)),
        Rule("ioctl", REFUSE, 1, (FIOSETOWN, SIOCSPGRP)),
        Rule("socket", ALLOW, 0, (AF_UNIX,)),  # the GPU driver listens on one
        Rule("prlimit64", ALLOW, 2, (0,)),  # which only reads
        *(Rule(call, REFUSE) for call in (
            "prlimit64", "socket", "connect",
            # Ways around this filter, or into the kernel.
            "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open",
            "userfaultfd", "keyctl", "add_key", "request_key", "personality",
            "open_by_handle_at", "name_to_handle_at", "fanotify_init", "unshare", "setns",
            "shmget", "shmat", "msgget", "semget", "mq_open",
            # What Landlock does not cover.
            "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat",
            "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
            "mknod", "mknodat", "quotactl", "quotactl_fd",
            # Administration of the machine.
            "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
            "fsconfig", "fsmount", "fspick", "mount_setattr", "swapon", "swapoff", "reboot",
            "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
            "acct", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname",
            "setdomainname", "syslog", "iopl", "ioperm",
            "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
            "capset",
        )),
    )  # fmt: skip


def confine_engine(work: Path) -> None:
    """Cut the engine's process off from the network, other processes and other files.

    Call it before the process starts threads. Without Landlock in the kernel, files are not
    restricted, which is logged: the engine's process decodes nothing itself.

    Args:
        work: The folder that holds the songs' work folders.

    Raises:
        OSError: This system cannot confine the process.
    """
    limit(resource.RLIMIT_CORE, 0)
    if not _has_gpu():  # GPU drivers reserve more addresses than there is memory
        limit(resource.RLIMIT_DATA, machine_memory())
    if sys.platform != "linux":
        return
    seccomp.forbid_new_privileges()
    if landlock.version():
        landlock.restrict([
            *((folder, landlock.WRITE) for folder in _writable(work)),
            *((Path(path), landlock.READ) for path in _readable()),
            *((path, landlock.USE_DEVICE) for path in _devices()),
        ])  # fmt: skip
    else:
        logger.warning("this kernel has no Landlock: the engine's process can open any file")
    seccomp.install(engine_rules(os.getpid()), ALLOW, newest=NEWEST)


def _writable(work: Path) -> Iterable[Path]:
    """Yield the work folder and the cache folders, which are created if possible."""
    from aistemsplitter_engine.folders import cache_folder
    from aistemsplitter_engine.weights.store import models_folder

    cache = cache_folder()
    for folder in (cache, models_folder()):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
    yield from (work, cache)


def _readable() -> Iterable[str | Path]:
    """Yield what Python, OpenVINO, PyTorch and GPU drivers read, and where weights are stored."""
    import aistemsplitter_engine
    import aistemsplitter_server
    from aistemsplitter_engine.weights.store import folders

    yield from (sys.prefix, sys.base_prefix)
    # Not all of sys.path: a working directory in it may hold the data folder.
    yield from (entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages")))
    for package in (aistemsplitter_engine, aistemsplitter_server):
        yield from package.__path__
    for folder in folders():
        yield folder
        # Weights may be links to files elsewhere.
        yield from (path.resolve() for path in folder.glob("*") if path.is_symlink())
    yield from (
        "/usr", "/lib", "/lib64",
        "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/nsswitch.conf", "/etc/OpenCL",
        "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version",
        "/proc/devices", "/proc/modules", "/proc/driver", "/proc/sys/vm", "/proc/sys/kernel",
        "/sys",
    )  # fmt: skip


def _devices() -> list[Path]:
    dev = Path("/dev")
    names = ("null", "zero", "full", "random", "urandom", "shm", "dri", "kfd")
    return [*(dev / name for name in names), *dev.glob("nvidia*")]


def _has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


def machine_memory() -> int:
    """Return the bytes of memory of this machine or container."""
    from aistemsplitter_engine.resources import memory_limit  # may fail, and has to say so

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(memory, memory_limit() or memory)
