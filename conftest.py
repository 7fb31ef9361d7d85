"""Options, and setup of parallel workers, for the tests of all packages."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Shells start background jobs with SIGINT ignored, and child processes inherit that. Tests that
# send it to a child would then wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers run in parallel already; threads of PyTorch would only compete with each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run, even on a busy machine.
settings.register_profile(
    "deterministic",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("deterministic")
settings.register_profile("few", settings.get_profile("deterministic"), max_examples=20)


SLOW_FIXTURES = {"databases", "sqlite_databases", "browser"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="also compare with Demucs at the official models' size"
    )
    parser.addoption(
        "--fast",
        action="store_true",
        help="skip tests that use a database, a process or a real network",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fast"):
        settings.load_profile("few")
        sys.addaudithook(_skip_if_process)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Import all tests without the garbage collector, and exempt what they import from it.

    Tests that collect garbage would otherwise look through all of PyTorch each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        items.sort(key=lambda item: "full" not in item.keywords)  # the longest start first
    else:
        skip = pytest.mark.skip(reason="minutes long; run with --full")
        for item in items:
            if "full" in item.keywords:
                item.add_marker(skip)
    if config.getoption("--fast"):
        slow = {item for item in items if _is_slow(item)}
        config.hook.pytest_deselected(items=list(slow))
        items[:] = [item for item in items if item not in slow]


def _is_slow(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(fixtures & SLOW_FIXTURES) or "network" in item.keywords


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled models out of the user's cache; all workers of a run share one."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


_testing = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    with _in_test():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with _in_test():
        return (yield)


@contextmanager
def _in_test() -> Iterator[None]:
    global _testing
    _testing = True
    try:
        yield
    finally:
        _testing = False


def _skip_if_process(event: str, _arguments: tuple[object, ...]) -> None:
    """Skip the test that starts a process, whatever starts it."""
    if event == "subprocess.Popen" and _testing and _in_main_thread():
        pytest.skip("starts a process; not run with --fast")


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@pytest.fixture
def mount_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return a function that mounts a disk of that many MB, unmounted after the test."""
    disk = tmp_path / "disk"

    def mount(megabytes: int) -> Path:
        if sys.platform != "linux" or os.geteuid() != 0:
            pytest.skip("only root can mount a small disk")
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounted.returncode:  # root in a container usually lacks CAP_SYS_ADMIN
            pytest.skip(f"cannot mount a disk here: {mounted.stderr.strip()}")
        return disk

    yield mount
    if disk.is_mount():
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
