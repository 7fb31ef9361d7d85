"""The command line, ``aistemsplitter-local``."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for file names that the terminal cannot show
    try:
        # Imported here, so that Ctrl-C during the import is handled below.
        from aistemsplitter_engine.cli.app import app

        try:
            app()
        except SystemExit as end:  # its traceback keeps networks alive
            sys.stdout.flush()
            sys.stderr.flush()
            # Everything is written. Exiting the usual way would free memory first, for 0.1 s.
            os._exit(end.code if isinstance(end.code, int) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # such as output redirected to a full disk
        sys.exit(f"Error: {error.strerror or error}")
