"""The command ``aistemsplitter-server``, also as ``python -m aistemsplitter_server``."""

from aistemsplitter_server.kit import imports


def main() -> None:
    """Run the command."""
    with imports.without_collection():
        from aistemsplitter_server import cli
    cli.main()


if __name__ == "__main__":
    main()
