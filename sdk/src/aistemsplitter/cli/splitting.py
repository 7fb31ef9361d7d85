"""``aistemsplitter split``: submission, wait and download for several songs at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import anyio

from aistemsplitter._async_client import AsyncAiStemSplitter
from aistemsplitter._errors import AiStemSplitterError
from aistemsplitter._models import SplitJob
from aistemsplitter._types import OutputFormat, StemModelName
from aistemsplitter.cli import exits, show
from aistemsplitter.cli.folders import Folders, download_command


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of ``aistemsplitter split``."""

    out: Path
    model: str | None
    stems: list[str] | None
    output_format: str | None
    webhook_url: str | None
    wait: bool
    overwrite: bool
    concurrency: int
    json: bool


def split_songs(
    songs: Sequence[str], options: Options, key: str | None, base_url: str | None
) -> int:
    """Split songs and return the exit code: 0, or that of the first song that failed."""

    async def main() -> int:
        async with AsyncAiStemSplitter(key, base_url=base_url) as client:
            with show.bars() as new_bars:
                return await _Run(client, options, new_bars).all(songs)

    return anyio.run(main)


class _Run:
    """One run of the command, with its client and folders."""

    def __init__(
        self, client: AsyncAiStemSplitter, options: Options, new_bars: show.NewBars
    ) -> None:
        self._client = client
        self._options = options
        self._new_bars = new_bars
        self._folders = Folders(options.out, overwrite=options.overwrite)
        self._slots = anyio.Semaphore(options.concurrency)

    async def all(self, songs: Sequence[str]) -> int:
        """Split all songs and return the exit code. A song that fails does not stop the others."""
        codes = [0] * len(songs)

        async def one(index: int, song: str) -> None:
            try:
                codes[index] = await self._split(song)
            finally:
                self._slots.release()

        async with anyio.create_task_group() as group:
            for index, song in enumerate(songs):
                await self._slots.acquire()  # here, so that songs start in their order
                group.start_soon(one, index, song)
        return next((code for code in codes if code), 0)

    async def _split(self, song: str) -> int:
        options, bars = self._options, self._new_bars(song.rpartition("/")[2] or song)
        try:
            # Chosen before the submission, so that an unusable folder costs nothing.
            folder = self._folders.for_song(song) if options.wait else None
            job = await self._client.create_split(
                input=song,
                model=cast("StemModelName | None", options.model),
                stems=options.stems,
                output_format=cast("OutputFormat | None", options.output_format),
                webhook_url=options.webhook_url,
                on_progress=bars.upload,
            )
            if folder is None:
                _submitted(song, job, options.json)
            else:
                self._folders.record(folder, job.id, song)
                await self._fetch(song, job, folder, bars)
        except AiStemSplitterError as error:
            show.message(_about(song, exits.with_option_names(error)))
            return exits.code_of(error)
        return 0

    async def _fetch(self, song: str, job: SplitJob, folder: Path, bars: show.Bars) -> None:
        try:
            split = await self._client.wait_for_split(
                job.id, timeout=None, on_progress=bars.separation
            )
            paths = await self._client.download_split(
                split, folder, overwrite=self._options.overwrite, on_progress=bars.download
            )
        except anyio.get_cancelled_exc_class():
            show.message(
                f"Interrupted; {song} continues on the service as {job.id}. Download its stems"
                f" with: {download_command(job.id, self._options.out)}"
            )
            raise
        show.stems(split, paths, self._options.json, song=song)


def _about(song: str, text: str) -> str:
    """Return a message that begins with the song's name, once."""
    named = text.startswith((f"{Path(song)}: ", f"{Path(song).name}: "))
    return text if named else f"{song}: {text}"


def _submitted(song: str, job: SplitJob, json: bool) -> None:
    if json:
        show.as_json({"id": job.id, "status": job.status, "song": song})
    else:
        show.line(f"{job.id} {song}")
