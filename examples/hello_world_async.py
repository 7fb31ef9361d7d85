"""Split a song and download its stems, with await.

python examples/hello_world_async.py song.mp3 [FOLDER]
python examples/hello_world_async.py https://example.com/song.mp3
"""

import asyncio
import sys
from pathlib import Path

from aistemsplitter import AsyncAiStemSplitter


async def main(song: str, folder: str | None = None) -> None:
    async with AsyncAiStemSplitter() as client:  # the key comes from AISTEMSPLITTER_API_KEY
        job = await client.create_split(input=song, stem_model="htdemucs_ft")
        result = await client.wait_for_split(job.id)
        folder = folder or f"stems/{Path(song).stem}"
        for name, path in (await client.download_split(result, folder)).items():
            print(f"{name}: {path}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
