"""``python -m aistemsplitter_server`` is the command ``aistemsplitter-server``."""

from aistemsplitter_server.cli import main

main()
