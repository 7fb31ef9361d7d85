"""Limits of control groups, as Linux shows them in files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aistemsplitter_engine.resources import cpu_count, memory_limit


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture(autouse=True)
def _sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("files", "cpus", "memory"),
    [
        ({}, 16, None),
        (
            {"sys/fs/cgroup/cpu.max": "200000 100000\n", "sys/fs/cgroup/memory.max": "1000\n"},
            2,
            1000,
        ),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2, None),
        ({"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1, None),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"}, 16, None),
        ({"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 16, None),
        ({"sys/fs/cgroup/cpu.max": "nonsense"}, 16, None),
    ],
    ids=["none", "2 and 1000", "1.5", "0.1", "max", "64", "nonsense"],
)
def test_a_container(tmp_path: Path, files: dict[str, str], cpus: int, memory: int | None) -> None:
    root = machine(tmp_path, {"proc/self/cgroup": "0::/\n", **files})
    assert cpu_count(root) == cpus
    assert memory_limit(root) == memory


def test_the_tightest_of_the_groups_around_it_counts(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a.slice/b.service\n",
            "sys/fs/cgroup/a.slice/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a.slice/memory.max": "5000\n",
            "sys/fs/cgroup/a.slice/b.service/memory.max": "4000\n",
        },
    )
    assert (cpu_count(root), memory_limit(root)) == (3, 4000)


def test_a_container_that_sees_its_path_on_the_host(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/docker/4f2a\n",
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
        },
    )
    assert cpu_count(root) == 4


def test_version_1(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "700\n",
        },
    )
    assert (cpu_count(root), memory_limit(root)) == (2, 700)
