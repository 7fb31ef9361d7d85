"""``aistemsplitter split``: submission, wait and download for several songs at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import anyio
import anyio.lowlevel

from aistemsplitter._async_client import AsyncAiStemSplitter
from aistemsplitter._errors import AiStemSplitterError
from aistemsplitter._types import OutputFormat, StemModelName, StemOptions
from aistemsplitter.cli import exits, show
from aistemsplitter.cli.folders import Folders, download_command
from aistemsplitter.cli.uploading import upload_song


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of ``aistemsplitter split``."""

    out: Path
    model: str | None
    stems: list[str] | None
    output_format: str | None
    webhook_url: str | None
    stem_options: dict[str, object]
    wait: bool
    overwrite: bool
    concurrency: int
    json: bool


@dataclass(slots=True, eq=False)
class _Song:
    """A song and how far it has come.

    Attributes:
        source: Path or URL.
        stage: ``pending`` until its upload is complete, ``finished`` also if it failed.
        split_id: Id of its split, once submitted.
    """

    source: str
    stage: Literal["pending", "submitting", "submitted", "finished"] = "pending"
    split_id: str = ""


def split_songs(
    sources: Sequence[str], options: Options, key: str | None, base_url: str | None
) -> int:
    """Split songs and return the exit code: 0, or that of the first song that failed."""
    songs = [_Song(source) for source in sources]
    notes = show.Notes()

    async def main() -> int:
        async with AsyncAiStemSplitter(key, base_url=base_url) as client:
            with show.bars() as new_bars:
                return await _Run(client, options, new_bars, notes).all(songs)

    try:
        code = anyio.run(main)
    except KeyboardInterrupt:
        show.ignore_interruptions()
        _report_interruption(songs, options.out)
        code = exits.INTERRUPTED
    notes.print()
    return code


class _Run:
    """One run of the command, with its client and folders."""

    def __init__(
        self,
        client: AsyncAiStemSplitter,
        options: Options,
        new_bars: show.NewBars,
        notes: show.Notes,
    ) -> None:
        self._client = client
        self._options = options
        self._new_bars = new_bars
        self._notes = notes
        self._folders = Folders(options.out, overwrite=options.overwrite)
        self._slots = anyio.Semaphore(options.concurrency)

    async def all(self, songs: Sequence[_Song]) -> int:
        """Split all songs and return the exit code. A song that fails does not stop the others."""
        codes = [0] * len(songs)

        async def one(index: int, song: _Song) -> None:
            try:
                codes[index] = await self._split(song)
            finally:
                self._slots.release()

        async with anyio.create_task_group() as group:
            for index, song in enumerate(songs):
                await self._slots.acquire()  # here, so that songs start in their order
                group.start_soon(one, index, song)
        return next((code for code in codes if code), 0)

    async def _split(self, song: _Song) -> int:
        bars = self._new_bars(song.source.rpartition("/")[2] or song.source)
        code = 0
        try:
            # Chosen before the submission, so that an unusable folder costs nothing.
            folder = self._folders.for_song(song.source) if self._options.wait else None
            await self._submit(song, folder, bars)
            if folder is not None:
                await self._fetch(song, folder, bars)
        except AiStemSplitterError as error:
            show.message(_about(song.source, exits.with_option_names(error)))
            code = exits.code_of(error)
        song.stage = "finished"
        return code

    async def _submit(self, song: _Song, folder: Path | None, bars: show.Bars) -> None:
        """Upload and submit a song. Without a folder for its stems, print the split's id."""
        options, source = self._options, song.source
        if source.lower().startswith(("http://", "https://")):
            audio = {"type": "direct_url", "url": source}
        else:
            audio = (await self._client._run(upload_song(self._client, source, bars))).input
        await anyio.lowlevel.checkpoint_if_cancelled()
        song.stage = "submitting"
        # Ctrl-C does not cancel a submission: only its response has the id of what is charged.
        with anyio.CancelScope(shield=True):
            job = await self._client.create_split(
                input=audio,
                model=cast("StemModelName | None", options.model),
                stems=options.stems,
                output_format=cast("OutputFormat | None", options.output_format),
                webhook_url=options.webhook_url,
                options=cast("StemOptions", options.stem_options),
            )
            song.stage, song.split_id = "submitted", job.id
            if folder is not None:
                self._folders.record(folder, job.id, source)
            elif options.json:
                show.as_json({"id": job.id, "status": job.status, "song": source})
            else:
                show.line(f"{job.id} {source}")

    async def _fetch(self, song: _Song, folder: Path, bars: show.Bars) -> None:
        split = await self._client.wait_for_split(
            song.split_id, timeout=None, on_progress=bars.separation
        )
        paths = await self._client.download_split(
            split, folder, overwrite=self._options.overwrite, on_progress=bars.download
        )
        show.stems(split, paths, self._options.json, song=song.source)
        self._notes.add(self._client, song.source, split)


def _report_interruption(songs: Sequence[_Song], out: Path) -> None:
    """Print what happens with the songs that Ctrl-C interrupted, and how to continue."""
    pending = [song.source for song in songs if song.stage == "pending"]
    if pending:
        show.message(
            f"Interrupted before {show.names(pending)} {'was' if len(pending) == 1 else 'were'}"
            " submitted, so nothing was charged. Run the command again to split"
            f" {'it' if len(pending) == 1 else 'them'}"
        )
    for song in songs:
        if song.stage == "submitting":
            show.message(
                f"Interrupted while {song.source} was being submitted. See whether 'aistemsplitter"
                " list' shows it before running the command again, which would charge it again"
            )
        elif song.stage == "submitted":
            show.message(
                f"Interrupted; {song.source} continues on the service as {song.split_id}. Download"
                f" its stems with: {download_command(song.split_id, out)}"
            )


def _about(song: str, text: str) -> str:
    """Return a message that begins with the song's name, once."""
    named = text.startswith((f"{Path(song)}: ", f"{Path(song).name}: "))
    return text if named else f"{song}: {text}"
