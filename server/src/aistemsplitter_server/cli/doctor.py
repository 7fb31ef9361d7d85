"""``doctor``: checks the service and this machine, and prints how to fix problems."""

from __future__ import annotations

from dataclasses import asdict

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
    findings = []
    for finding in examine(context.obj):
        findings.append(finding)
        if not as_json:
            show(finding)
    sound = all(finding.state != "problem" for finding in findings)
    if as_json:
        print_json({"ok": sound, "checks": [asdict(finding) for finding in findings]})
    raise typer.Exit(0 if sound else 1)


def show(finding: Finding) -> None:
    """Print a finding, and below it how to fix it."""
    mark, colour = MARKS[finding.state]
    label = typer.style(f"{mark:8}", fg=colour)
    typer.echo(f"{label} {finding.check:16} {finding.message}")
    if finding.todo:
        typer.echo(f"{'':8} {'':16} -> {finding.todo}")
