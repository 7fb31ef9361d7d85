"""The command ``aistemsplitter``, installed with the extra ``aistemsplitter[cli]``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command and exit with one of the codes listed in ``--help``."""
    try:
        from aistemsplitter.cli.commands import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("The command line is not installed: pip install 'aistemsplitter[cli]'")
    except KeyboardInterrupt:
        print("Interrupted; run the same command again", file=sys.stderr)
        sys.exit(130)
    sys.exit(run())
