"""Upload of a song by the commands ``split`` and ``upload``."""

from __future__ import annotations

from pathlib import Path

from aistemsplitter._base import BaseClient
from aistemsplitter._effects import Operation
from aistemsplitter._operations import reserve
from aistemsplitter._upload import LARGE, upload
from aistemsplitter._upload_models import Upload
from aistemsplitter.cli import show


def upload_song(client: BaseClient, song: str, bars: show.Bars) -> Operation[Upload]:
    """Upload a file with a progress bar and return the upload, ready to be submitted.

    The upload of a large file continues where an interrupted command left off.
    """
    return upload(
        client._session,
        reserve,
        song,
        filename=None,
        key=_key_of(Path(song)),
        on_progress=bars.upload,
    )


def _key_of(song: Path) -> str | None:
    """Return the same idempotency key for the same large file; None for a small one."""
    try:
        is_large = song.stat().st_size > LARGE
    except OSError:
        return None  # opening it fails too, and reports the reason
    return f"command line {song.resolve()}" if is_large else None
