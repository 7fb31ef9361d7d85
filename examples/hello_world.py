"""Split a song and download its stems.

python examples/hello_world.py song.mp3 [FOLDER]
python examples/hello_world.py https://example.com/song.mp3
"""

import sys
from pathlib import Path

from aistemsplitter import AiStemSplitter


def main(song: str, folder: str | None = None) -> None:
    with AiStemSplitter() as client:  # the key comes from AISTEMSPLITTER_API_KEY
        job = client.create_split(input=song, stem_model="htdemucs_ft")
        result = client.wait_for_split(job.id)
        folder = folder or f"stems/{Path(song).stem}"
        for name, path in client.download_split(result, folder).items():
            print(f"{name}: {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
