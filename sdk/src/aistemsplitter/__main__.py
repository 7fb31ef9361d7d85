"""Entry point of ``python -m aistemsplitter``."""

from aistemsplitter.cli import main

main()
