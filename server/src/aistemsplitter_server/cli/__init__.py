"""The command ``aistemsplitter-server``."""

from __future__ import annotations

import sys

from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.cli.commands import app
from aistemsplitter_server.cli.supervisor import GaveUp
from aistemsplitter_server.cli.up import CannotStart
from aistemsplitter_server.installation.service import WrongInstallation
from aistemsplitter_server.kit.errors import ApiError
from aistemsplitter_server.kit.secrets import UnusableSecret
from aistemsplitter_server.kit.settings import WrongSetting
from aistemsplitter_server.migrations.migrate import NotMigrated
from aistemsplitter_server.storage.interface import StorageFailed


def main() -> None:
    """Run the command. Expected errors end as one line on stderr, with status 1."""
    try:
        app()
    except (
        ApiError,
        CannotStart,
        GaveUp,
        NotMigrated,
        StorageFailed,
        UnusableSecret,
        WrongInstallation,
        WrongSetting,
    ) as error:
        sys.exit(f"aistemsplitter-server: {error}")
    except SQLAlchemyError as error:
        # SQLAlchemy's message may quote the parameters of the statement.
        sys.exit(f"aistemsplitter-server: the database cannot be used ({type(error).__name__})")
    except OSError as error:
        sys.exit(f"aistemsplitter-server: {error.filename}: {error.strerror}")
