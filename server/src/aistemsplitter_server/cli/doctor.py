"""``doctor``: checks the service and this machine, and prints how to fix problems."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import NoReturn

import typer

from aistemsplitter_server.cli.checks import Finding, examine
from aistemsplitter_server.cli.shared import Json, print_json

MARKS = {
    "ok": ("ok", typer.colors.GREEN),
    "warning": ("warning", typer.colors.YELLOW),
    "problem": ("PROBLEM", typer.colors.RED),
}


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check the service and this machine without changing anything. Exit with 1 on problems."""
    report(examine(context.obj), "checks", as_json=as_json)


def report(found: Iterable[Finding], name: str, *, as_json: bool) -> NoReturn:
    """Print findings as they come, or as JSON at the end, and exit with 1 if one is a problem.

    Args:
        name: Name of the findings in the JSON.
    """
    findings = []
    for finding in found:
        findings.append(finding)
        if not as_json:
            _show(finding)
    sound = all(finding.state != "problem" for finding in findings)
    if as_json:
        print_json({"ok": sound, name: [asdict(finding) for finding in findings]})
    raise typer.Exit(0 if sound else 1)


def _show(finding: Finding) -> None:
    mark, colour = MARKS[finding.state]
    label = typer.style(f"{mark:8}", fg=colour)
    typer.echo(f"{label} {finding.check:16} {finding.message}")
    if finding.todo:
        typer.echo(f"{'':8} {'':16} -> {finding.todo}")
