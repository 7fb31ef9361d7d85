"""The command ``aistemsplitter``; needs the extra ``aistemsplitter[cli]``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; ends the process with one of the codes that ``--help`` lists."""
    try:
        from aistemsplitter.cli.commands import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("The command line is an extra: pip install 'aistemsplitter[cli]'")
    sys.exit(run())
