"""Split every song of a folder, a few at a time; run again, it goes on where it stopped.

python examples/batch_folder.py songs/ stems/ --at-once 4

A note beside the stems keeps the split's id, so a song that was submitted by a run that was then
interrupted is neither split nor charged again. Files that are there are not fetched again.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from aistemsplitter import AiStemSplitterError, AsyncAiStemSplitter, NotFound, SplitFailed

SONGS = {".mp3", ".wav", ".flac", ".m4a", ".ogg", ".opus"}


async def main(songs: Path, stems: Path, at_once: int) -> int:
    """Split them all; how many failed."""
    turns = asyncio.Semaphore(at_once)
    failures: list[str] = []

    async with AsyncAiStemSplitter() as client:

        async def split(song: Path) -> None:
            folder = stems / song.name
            note = folder / ".split-id"
            async with turns:
                try:
                    if not note.exists():
                        job = await client.create_split(song)
                        folder.mkdir(parents=True, exist_ok=True)
                        note.write_text(job.id)
                    result = await client.wait_for_split(note.read_text())
                    await client.download_split(result, folder)
                    print(f"{song.name}: done")
                except AiStemSplitterError as error:
                    if isinstance(error, (SplitFailed, NotFound)):
                        note.unlink()  # the next run tries it anew
                    failures.append(song.name)
                    print(f"{song.name}: {error}", file=sys.stderr)

        found = sorted(path for path in songs.iterdir() if path.suffix.lower() in SONGS)
        await asyncio.gather(*(split(song) for song in found))
    return len(failures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("songs", type=Path)
    parser.add_argument("stems", type=Path)
    parser.add_argument("--at-once", type=int, default=4)
    options = parser.parse_args()
    sys.exit(1 if asyncio.run(main(options.songs, options.stems, options.at_once)) else 0)
