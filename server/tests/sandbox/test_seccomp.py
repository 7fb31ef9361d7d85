"""The seccomp filters, including those for the other processor architecture."""

from __future__ import annotations

import ctypes
import errno

import pytest

from aistemsplitter_server.sandbox import seccomp
from aistemsplitter_server.sandbox.confinement import DECODER_RULES
from aistemsplitter_server.sandbox.engine_confinement import engine_rules
from aistemsplitter_server.sandbox.seccomp import ALLOW, ARCHITECTURES, KILL, REFUSE, UNKNOWN, Rule
from aistemsplitter_server.sandbox.system_calls import NEWEST, NUMBERS

Instruction = seccomp.Instruction


def decision(steps: list[Instruction], architecture: int, number: int, *arguments: int) -> int:
    """Evaluate a filter as the kernel does; return its action."""
    words = {0: number, 4: architecture}
    for index in range(6):
        value = arguments[index] if index < len(arguments) else 0
        words[16 + 8 * index], words[20 + 8 * index] = value & 0xFFFFFFFF, value >> 32
    at = loaded = 0
    while True:
        code, if_true, if_false, constant = steps[at]
        if code == seccomp.RETURN:
            return constant
        if code == seccomp.LOAD:
            loaded = words[constant]
            at += 1
            continue
        holds = {
            seccomp.EQUAL: loaded == constant,
            seccomp.AT_LEAST: loaded >= constant,
            seccomp.ANY_BIT: bool(loaded & constant),
        }[code]
        at += 1 + (if_true if holds else if_false)


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> str:
    """Each processor with known system call numbers."""
    name: str = request.param
    return name


def test_the_numbers_match_libseccomp(machine: str) -> None:
    try:
        resolve = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name_arch
    except OSError:
        pytest.skip("libseccomp is not installed")
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    column, architecture = ARCHITECTURES[machine]
    wrong = {}
    for name, numbers in NUMBERS.items():
        known = resolve(architecture, name.encode())
        if (numbers[column] if numbers[column] is not None else -1) != max(known, -1):
            wrong[name] = known
    assert wrong == {}


def test_a_decoder_may_only_use_open_files(machine: str) -> None:
    column, architecture = ARCHITECTURES[machine]
    steps = seccomp.program(machine, DECODER_RULES, REFUSE)
    allowed = {
        name
        for name, numbers in NUMBERS.items()
        if (number := numbers[column]) is not None
        and decision(steps, architecture, number) == ALLOW
    }
    assert {"read", "write", "mmap", "exit_group", "ppoll"} <= allowed
    assert not allowed & {
        *("socket", "connect", "sendmmsg", "execve", "fork", "clone", "clone3", "kill", "tgkill"),
        *("ptrace", "process_vm_readv", "io_uring_setup", "prlimit64", "chmod", "fchmod", "ioctl"),
    }
    assert decision(steps, architecture, 10_000) == REFUSE


def test_the_engine_may_only_start_threads_and_signal_itself(machine: str) -> None:
    column, architecture = ARCHITECTURES[machine]
    steps = seccomp.program(machine, engine_rules(42), ALLOW, newest=NEWEST)

    def of(name: str, *arguments: int) -> int:
        number = NUMBERS[name][column]
        assert number is not None
        return decision(steps, architecture, number, *arguments)

    assert of("read") == of("mmap") == of("clone", 0x10100) == ALLOW
    assert of("clone", 17) == of("execve") == of("socket", 2, 1) == of("ptrace") == REFUSE
    assert of("socket", 1, 1) == ALLOW
    assert of("connect", 3) == REFUSE
    assert of("clone3") == of("io_uring_setup") + errno.ENOSYS - errno.EPERM == UNKNOWN
    assert of("tgkill", 42, 43, 6) == of("kill", 42, 6) == ALLOW
    assert of("tgkill", 1, 1, 9) == of("kill", 1, 9) == of("tkill", 1, 9) == REFUSE
    assert of("kill", 0xFFFFFFFF, 9) == REFUSE  # every process
    assert of("fcntl", 3, 1) == ALLOW
    assert of("fcntl", 3, 8, 1) == REFUSE
    assert of("prlimit64", 0, 7, 0, 1) == ALLOW
    assert of("prlimit64", 0, 7, 1, 0) == REFUSE


def test_rules_with_arguments(machine: str) -> None:
    column, architecture = ARCHITECTURES[machine]
    fcntl = NUMBERS["fcntl"][column]
    assert fcntl is not None
    steps = seccomp.program(machine, DECODER_RULES, REFUSE)
    assert decision(steps, architecture, fcntl, 5, 3) == ALLOW
    assert decision(steps, architecture, fcntl, 5, 8) == REFUSE  # F_SETOWN
    steps = seccomp.program(machine, [Rule("clone", ALLOW, 0, bits=0x10000)], REFUSE)
    clone = NUMBERS["clone"][column]
    assert clone is not None
    assert decision(steps, architecture, clone, 0x10100) == ALLOW
    assert decision(steps, architecture, clone, 0x100) == REFUSE


def test_other_system_call_interfaces(machine: str) -> None:
    """The 32-bit interface, and x32, whose numbers have an additional bit."""
    _, architecture = ARCHITECTURES[machine]
    steps = seccomp.program(machine, [], ALLOW, newest=NEWEST)
    assert decision(steps, 0x40000003, 1) == KILL
    assert decision(steps, architecture, 0x40000000 | 59) == UNKNOWN
    assert decision(steps, architecture, NEWEST) == ALLOW
    assert UNKNOWN & 0xFFFF == errno.ENOSYS
