"""Split every song of a folder, a few at a time. A second run resumes an interrupted one.

python examples/batch_folder.py songs/ stems/ --at-once 4

The id of each split is stored next to its stems, so a song that was submitted before an
interruption is not split and charged again. Complete files are not downloaded again.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from aistemsplitter import AiStemSplitterError, AsyncAiStemSplitter, NotFound, SplitFailed

SONGS = {".mp3", ".wav", ".flac", ".m4a", ".ogg", ".opus"}


async def main(songs: Path, stems: Path, at_once: int) -> int:
    """Split all songs and return the number of failures."""
    slots = asyncio.Semaphore(at_once)
    failures: list[str] = []

    async with AsyncAiStemSplitter() as client:

        async def split(song: Path) -> None:
            folder = stems / song.name
            id_file = folder / ".split-id"
            async with slots:
                try:
                    if not id_file.exists():
                        job = await client.create_split(song)
                        folder.mkdir(parents=True, exist_ok=True)
                        id_file.write_text(job.id)
                    result = await client.wait_for_split(id_file.read_text())
                    await client.download_split(result, folder)
                    print(f"{song.name}: done")
                except AiStemSplitterError as error:
                    if isinstance(error, (SplitFailed, NotFound)):
                        id_file.unlink(missing_ok=True)  # the next run submits the song again
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
