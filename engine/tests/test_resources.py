"""CPU and memory limits of control groups, read from files in Linux's layout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aistemsplitter_engine.resources import cpu_count, free_memory, memory_limit


@pytest.fixture(autouse=True)
def _sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


CONTAINER = {"proc/self/cgroup": "0::/\n"}


@pytest.mark.parametrize(
    ("files", "cpus", "memory"),
    [
        pytest.param({}, 16, None, id="no limit"),
        pytest.param(
            {"sys/fs/cgroup/cpu.max": "200000 100000\n", "sys/fs/cgroup/memory.max": "1000\n"},
            2,
            1000,
            id="2 processors and 1000 bytes",
        ),
        pytest.param({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2, None, id="1.5 processors"),
        pytest.param({"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1, None, id="0.1 processors"),
        pytest.param(
            {"sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"},
            16,
            None,
            id="max",
        ),
        pytest.param({"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 16, None, id="64 processors"),
        pytest.param({"sys/fs/cgroup/cpu.max": "nonsense"}, 16, None, id="nonsense"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/a.slice/b.service\n",
                "sys/fs/cgroup/a.slice/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000\n",
                "sys/fs/cgroup/a.slice/memory.max": "5000\n",
                "sys/fs/cgroup/a.slice/b.service/memory.max": "4000\n",
            },
            3,
            4000,
            id="the tightest of nested groups",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "0::/docker/4f2a\n",
                "sys/fs/cgroup/cpu.max": "400000 100000\n",
            },
            4,
            None,
            id="a container that sees its path on the host",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "700\n",
            },
            2,
            700,
            id="control groups version 1",
        ),
    ],
)
def test_limits(tmp_path: Path, files: dict[str, str], cpus: int, memory: int | None) -> None:
    for name, content in {**CONTAINER, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert (cpu_count(tmp_path), memory_limit(tmp_path)) == (cpus, memory)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        pytest.param({}, None, id="unknown"),
        pytest.param(
            {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 5 kB\n"}, 5120, id="no limit"
        ),
        pytest.param(
            {
                "proc/meminfo": "MemAvailable: 5 kB\n",
                "sys/fs/cgroup/memory.max": "4000\n",
                "sys/fs/cgroup/memory.current": "3500\n",
                "sys/fs/cgroup/memory.stat": "anon 2500\ninactive_file 1000\n",
            },
            1500,
            id="a limit, and caches that can be reclaimed",
        ),
        pytest.param(
            {
                "proc/meminfo": "MemAvailable: 5 kB\n",
                "sys/fs/cgroup/memory.max": "max\n",
                "sys/fs/cgroup/memory.current": "3500\n",
            },
            5120,
            id="max",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "5:memory:/job\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "700\n",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "900\n",
            },
            0,
            id="control groups version 1, above the limit",
        ),
        pytest.param({"proc/meminfo": "MemAvailable: ? kB\n"}, None, id="nonsense"),
    ],
)
def test_free_memory(tmp_path: Path, files: dict[str, str], free: int | None) -> None:
    for name, content in {**CONTAINER, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert free_memory(tmp_path) == free
