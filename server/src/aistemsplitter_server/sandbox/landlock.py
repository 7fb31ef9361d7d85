"""Landlock: the files that a process may open, on Linux 5.13 and later.

Called directly: it takes three system calls, and PyPI has only early packages (``landlock``
1.0.0.dev5, ``py-landlock`` 0.1.1).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

CREATE, ADD, RESTRICT = 444, 445, 446  # system calls, on every processor
GET_VERSION, PATH_BENEATH = 1, 1
O_PATH = 0o10000000

READ_FILE, READ_DIR = 1 << 2, 1 << 3
WRITE_FILE, REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 1, 1 << 4, 1 << 5, 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15

READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
USE_DEVICE = READ | WRITE_FILE | IOCTL_DEVICE
# those that apply to a file, not to a folder
OF_FILES = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEVICE

# By version of the kernel's interface: all rights to files, to TCP, and scopes that it knows.
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
NEWEST_FILE_RIGHTS = (1 << 16) - 1
TCP_RIGHTS, TCP_SINCE = 0b11, 4  # bind, connect
SCOPES, SCOPES_SINCE = 0b11, 6  # abstract sockets and signals of processes outside


def version() -> int:
    """Return the version of the kernel's interface, 0 if it has no Landlock."""
    try:
        return _call(CREATE, None, 0, GET_VERSION)
    except OSError:
        return 0


def restrict(allowed: Iterable[tuple[Path, int]]) -> None:
    """Restrict this thread, and all that it starts, to some files. TCP and signals are refused.

    Privileges must have been given up before (see ``seccomp.forbid_new_privileges``).

    Args:
        allowed: Paths and the rights to them and all below them. Paths that do not exist are
            skipped.

    Raises:
        OSError: The kernel has no Landlock.
    """
    kernel = version()
    if kernel == 0:
        raise OSError(errno.ENOSYS, "the kernel has no Landlock")
    rights = FILE_RIGHTS.get(kernel, NEWEST_FILE_RIGHTS)
    attributes = struct.pack(
        "QQQ",
        rights,
        TCP_RIGHTS if kernel >= TCP_SINCE else 0,
        SCOPES if kernel >= SCOPES_SINCE else 0,
    )
    known = 24 if kernel >= SCOPES_SINCE else 16 if kernel >= TCP_SINCE else 8
    ruleset = _call(CREATE, attributes, known, 0)
    try:
        for path, wanted in allowed:
            _allow(ruleset, path, wanted & rights)
        _call(RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        found = os.open(path, O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= OF_FILES
        _call(ADD, ruleset, PATH_BENEATH, struct.pack("=Qi", rights, found), 0)
    finally:
        os.close(found)


def _call(number: int, *arguments: int | bytes | None) -> int:
    passed = [
        ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments
    ]
    result: int = ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *passed)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
