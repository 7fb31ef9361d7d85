"""The plain REST API by any HTTP library, mixed freely with typed calls.

python examples/raw_http.py song.mp3 [FOLDER]
"""

import os
import sys
from pathlib import Path

import httpx2  # or httpx, requests, ...: nothing of the SDK's is needed

from aistemsplitter import AiStemSplitter


def main(song: str, folder: str = "stems") -> None:
    base_url = os.environ.get("AISTEMSPLITTER_BASE_URL", "https://api.aistemsplitter.org")
    key = os.environ["AISTEMSPLITTER_API_KEY"]
    with (
        AiStemSplitter() as client,
        httpx2.Client(
            base_url=base_url.removesuffix("/v1") + "/v1",
            headers={"Authorization": f"Bearer {key}"},
        ) as http,
    ):
        # Typed, with what HTTP knows of it.
        submitted = client.with_raw_response.create_split(song, stems=["vocals", "instrumental"])
        print(f"{submitted.status} {submitted.request_id}: {submitted.data.id}")

        # Raw: one envelope around all of the API's answers.
        told = http.get(f"/audio/splits/{submitted.data.id}").raise_for_status().json()
        print(f"{told['data']['id']} is {told['data']['status']}")

        # Typed again, and the stems by any HTTP library: their URLs need no key, so send none.
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
