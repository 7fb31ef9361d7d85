"""A short version of bench/kill_test.py."""

from __future__ import annotations

from customers import Customer
from killing import run
from processes import Service


def test_nothing_is_lost_when_processes_are_killed_repeatedly(
    service: Service, someone: Customer
) -> None:
    report = run(service, someone, splits=12, kills=5, workers=2)
    assert report.faults == []
    assert sum(report.statuses.values()) == 12
    assert sum(report.kills.values()) == 5
