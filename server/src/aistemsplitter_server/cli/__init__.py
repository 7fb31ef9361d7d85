"""The command ``aistemsplitter-server``."""

from __future__ import annotations

import sys
from itertools import islice

from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.cli.commands import app
from aistemsplitter_server.cli.moving import CannotMigrate
from aistemsplitter_server.cli.supervisor import GaveUp
from aistemsplitter_server.cli.up import CannotStart
from aistemsplitter_server.installation.service import WrongInstallation
from aistemsplitter_server.kit.env_file import NoEnvFile
from aistemsplitter_server.kit.errors import ApiError
from aistemsplitter_server.kit.secrets import UnusableSecret
from aistemsplitter_server.kit.settings import WrongSetting
from aistemsplitter_server.migrations.migrate import NotMigrated
from aistemsplitter_server.storage.interface import StorageFailed

GLOBAL = ("--data", "--env-file")  # options that may stand before or after the command


def hoisted(arguments: list[str]) -> list[str]:
    """Return the arguments with the global options first, where the command line expects them."""
    first, rest = [], []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            rest += [argument, *remaining]
        elif argument in GLOBAL:
            first += [argument, *islice(remaining, 1)]
        elif argument.startswith(tuple(f"{option}=" for option in GLOBAL)):
            first.append(argument)
        else:
            rest.append(argument)
    return [*first, *rest]


def main() -> None:
    """Run the command. Expected errors end as one line on stderr, with status 1."""
    try:
        app(args=hoisted(sys.argv[1:]))
    except (
        ApiError,
        CannotMigrate,
        CannotStart,
        GaveUp,
        NoEnvFile,
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
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"aistemsplitter-server: {where}{error.strerror or error}")
