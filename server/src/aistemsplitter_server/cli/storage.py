"""``storage``: the place of songs and stems."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from aistemsplitter_server.cli import moving
from aistemsplitter_server.cli.checks import Finding
from aistemsplitter_server.cli.doctor import report
from aistemsplitter_server.cli.shared import Json
from aistemsplitter_server.kit.setting_types import storage_address
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import require_boto3

app = typer.Typer(no_args_is_help=True, help="Set up the storage of songs and stems, or move it.")


@app.command()
def setup(context: typer.Context, as_json: Json = False) -> None:
    """Set and check the bucket's rules: permissions, CORS, lifecycle. Exit with 1 on problems.

    Rules of other programs are kept. It can be repeated, and must be after raising
    RETENTION_HOURS or changing PUBLIC_URL, CORS_ORIGINS or STORAGE_PROXY.
    """
    settings: Settings = context.obj
    if settings.storage is None:
        message = "a folder of this machine, which needs no setup"
        report([Finding("storage", "ok", message)], "steps", as_json=as_json)
    require_boto3()
    from aistemsplitter_server.cli.bucket_setup import steps
    from aistemsplitter_server.storage.s3_bucket import bucket

    target = bucket(settings.storage, settings)
    with closing(target.client):
        report(steps(target, settings), "steps", as_json=as_json)


@app.command()
def migrate(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="s3://bucket, s3://bucket/prefix, or disk.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Storage to copy from. By default STORAGE, or STORAGE_FALLBACK if --to is the"
            " same as STORAGE.",
        ),
    ] = None,
) -> None:
    """Copy songs and stems to another storage while the service runs, and say what to do next.

    It can be interrupted and repeated: what was copied is not copied again.
    """
    addresses = [_address(given) for given in (to, source) if given is not None]
    if not moving.migrate(context.obj, *addresses):
        raise typer.Exit(1)


def _address(given: str) -> str:
    try:
        return storage_address(given)
    except ValueError as error:
        raise moving.CannotMigrate(f"{given}: {error}") from None
