"""The processors and the memory that this process may use, as limited by its control group."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")


def cpu_count(root: Path = _ROOT) -> int:
    """Return how many processors this process may use.

    This includes CPU quotas, which Python ignores: a container with ``docker --cpus=2`` may run on
    all processors, but only for a part of the time.
    """
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    return max(1, min([available, *(math.ceil(quota) for quota in _cpu_quotas(root))]))


def memory_limit(root: Path = _ROOT) -> int | None:
    """Return the bytes of memory that this process may use, or None if it has no limit."""
    files = ("memory.max", "memory.limit_in_bytes")  # of control groups version 2 and 1
    limits = [
        limit
        for folder in _groups(root, "memory")
        for file in files
        for limit in _numbers(folder / file)
    ]
    return min(limits, default=None)


def free_memory(root: Path = _ROOT) -> int | None:
    """Return the bytes of memory that this process can still allocate, or None if unknown."""
    free = [limit - used for limit, used in _memory_use(root)]
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):  # not Linux
        pass
    return max(0, min(free)) if free else None


def _memory_use(root: Path) -> Iterator[tuple[int, int]]:
    """Yield the limit and the use of each control group, in bytes, without reclaimable caches."""
    names = [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ]
    for folder in _groups(root, "memory"):
        for limit_file, use_file, cache_name in names:
            match [*_numbers(folder / limit_file), *_numbers(folder / use_file)]:
                case [limit, used]:
                    yield limit, max(0, used - _statistic(folder / "memory.stat", cache_name))


def _statistic(file: Path, name: str) -> int:
    try:
        words = file.read_text().split()
        return int(words[words.index(name) + 1])
    except (OSError, ValueError, IndexError):
        return 0


def _cpu_quotas(root: Path) -> Iterator[float]:
    for folder in _groups(root, "cpu"):
        match [*_numbers(folder / "cpu.max")] or [
            *_numbers(folder / "cpu.cfs_quota_us"),
            *_numbers(folder / "cpu.cfs_period_us"),
        ]:
            case [quota, period] if quota > 0 and period > 0:  # -1 or "max": no quota
                yield quota / period


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the control group of this process, those around it, and the outermost one.

    A container often sees the path that its group has on the host, where only the outermost one
    exists.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            mounts = ("", "unified")
        elif controller in controllers.split(","):
            mounts = (controllers, controller)
        else:
            continue
        group = Path(path.lstrip("/"))
        for mount in mounts:
            for part in (group, *group.parents):
                yield root / "sys/fs/cgroup" / mount / part


def _numbers(file: Path) -> list[int]:
    """Return the numbers in a file; none if it is missing or says ``max``."""
    try:
        return [int(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return []
