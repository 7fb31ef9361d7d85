"""The command ``aistemsplitter``, installed with the extra ``aistemsplitter[cli]``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command and exit with one of the codes listed in ``--help``."""
    try:
        from aistemsplitter.cli.commands import run
        from aistemsplitter.cli.exits import INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit("The command line is not installed: pip install 'aistemsplitter[cli]'")
    except KeyboardInterrupt:
        print("Interrupted; run the same command again", file=sys.stderr)
        sys.exit(130)
    code = run()
    if code == INTERRUPTED:
        # Threads that Ctrl-C has interrupted may never end, and Python would wait for them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
