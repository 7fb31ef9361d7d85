"""Entry point of ``python -m aistemsplitter.cli``."""

from aistemsplitter.cli import main

main()
