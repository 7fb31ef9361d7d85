"""Seccomp filters: the system calls that a process may make, on Linux on x86-64 and ARM64.

Assembled here because libseccomp is a system library that pip cannot install, and its bindings on
PyPI (pyseccomp 0.1.2 of 2021) are unmaintained. ``system_calls.py`` has the numbers.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from aistemsplitter_server.sandbox.system_calls import NUMBERS

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""For each machine, its column in ``NUMBERS`` and the kernel's constant for its architecture."""

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in what a filter reads
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


@dataclass(frozen=True, slots=True)
class Rule:
    """The action for a system call.

    Attributes:
        call: Its name in ``NUMBERS``.
        action: ``ALLOW``, ``REFUSE`` or ``UNKNOWN``.
        argument: If set, the rule applies only if the low 32 bits of the argument at this index
            equal one of ``values`` or have one of ``bits`` set.
    """

    call: str
    action: int
    argument: int | None = None
    values: tuple[int, ...] = ()
    bits: int = 0


def program(
    machine: str, rules: Sequence[Rule], default: int, *, newest: int | None = None
) -> list[Instruction]:
    """Return a filter in which the first matching rule decides.

    Args:
        machine: A key of ``ARCHITECTURES``.
        default: The action if no rule matches.
        newest: The highest number that the rules know of. Calls above it, among them those of
            x86-64's second calling convention, fail as in an older kernel.
    """
    column, architecture = ARCHITECTURES[machine]
    steps: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),  # in another calling convention, numbers mean other calls
        (LOAD, 0, 0, NUMBER),
    ]
    if newest is not None:
        steps += [(AT_LEAST, 0, 1, newest + 1), (RETURN, 0, 0, UNKNOWN)]
    for rule in rules:
        number = NUMBERS[rule.call][column]
        if number is None:
            continue
        body = _body(rule)
        steps += [(EQUAL, 0, len(body), number), *body]
    return [*steps, (RETURN, 0, 0, default)]


def _body(rule: Rule) -> list[Instruction]:
    decide = (RETURN, 0, 0, rule.action)
    if rule.argument is None:
        return [decide]
    body: list[Instruction] = [(LOAD, 0, 0, ARGUMENTS + 8 * rule.argument)]
    for value in rule.values:
        body += [(EQUAL, 0, 1, value), decide]
    if rule.bits:
        body += [(ANY_BIT, 0, 1, rule.bits), decide]
    return [*body, (LOAD, 0, 0, NUMBER)]


def install(rules: Sequence[Rule], default: int, *, newest: int | None = None) -> None:
    """Apply a filter to this thread, and to all that it will start, for good.

    Raises:
        OSError: The system has no seccomp, or its processor is unknown.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no system call filter for the processor {machine}")
    steps = program(machine, rules, default, newest=newest)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    forbid_new_privileges()
    filter_ = struct.pack("HP", len(steps), ctypes.addressof(code))
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_)


def forbid_new_privileges() -> None:
    """Keep this process from gaining privileges by running a set-user-ID program."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1, 0)


def _prctl(option: int, first: int, second: int | bytes) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, first, second, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, f"the process cannot be confined (prctl {option})")
