"""``aistemsplitter-local``: the engine on the command line."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the command line, and end the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show is no error
    try:
        # Here, since Ctrl-C may come meanwhile.
        from aistemsplitter_engine.cli.app import app

        try:
            app()
        except SystemExit as end:  # holds on to what its frames hold, such as a network
            sys.stdout.flush()
            sys.stderr.flush()
            # All is written; to free memory before it goes with the process takes 0.1 s.
            os._exit(end.code if isinstance(end.code, int) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # such as output that goes to a full disk
        sys.exit(f"Error: {error.strerror or error}")
