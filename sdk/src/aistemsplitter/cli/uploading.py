"""Upload of a song by the commands ``split`` and ``upload``."""

from __future__ import annotations

from pathlib import Path

from aistemsplitter._base import BaseClient
from aistemsplitter._effects import Operation
from aistemsplitter._operations import reserve
from aistemsplitter._upload import upload
from aistemsplitter._upload_models import Upload
from aistemsplitter.cli import show


def upload_song(client: BaseClient, song: str, bars: show.Bars) -> Operation[Upload]:
    """Upload a file with a progress bar and return the upload, ready to be submitted.

    If the command was interrupted before, the upload of a large file continues.
    """
    return upload(
        client._session,
        reserve,
        song,
        filename=None,
        key=f"command line {Path(song).name}",
        on_progress=bars.upload,
    )
