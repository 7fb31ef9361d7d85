"""Use the plain REST API with any HTTP library, mixed with typed calls.

python examples/raw_http.py song.mp3 [FOLDER]
"""

import os
import sys
from pathlib import Path

import httpx2  # or any other HTTP library

from aistemsplitter import AiStemSplitter


def main(song: str, folder: str | None = None) -> None:
    folder = folder or f"stems/{Path(song).stem}"
    base_url = os.environ.get("AISTEMSPLITTER_BASE_URL", "https://api.aistemsplitter.org")
    key = os.environ["AISTEMSPLITTER_API_KEY"]
    with (
        AiStemSplitter() as client,
        httpx2.Client(
            base_url=base_url.removesuffix("/v1") + "/v1",
            headers={"Authorization": f"Bearer {key}"},
        ) as http,
    ):
        # A typed call, with the status and request id of its HTTP response.
        submitted = client.with_raw_response.create_split(song, stems=["vocals", "instrumental"])
        print(f"{submitted.status} {submitted.request_id}: {submitted.data.id}")

        # A raw call: every successful response has its content in "data".
        response = http.get(f"/audio/splits/{submitted.data.id}").raise_for_status()
        split = response.json()["data"]
        print(f"{split['id']} is {split['status']}")

        # Typed again, with the stems downloaded by any HTTP library. Their URLs need no key.
        result = client.wait_for_split(submitted.data.id)
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, url in result.stems.items():
            with httpx2.stream("GET", url) as stem:
                stem.raise_for_status()
                with (Path(folder) / f"{name}.wav").open("wb") as file:
                    for piece in stem.iter_bytes():
                        file.write(piece)
            print(f"{name}: {folder}/{name}.wav")


if __name__ == "__main__":
    main(*sys.argv[1:])
