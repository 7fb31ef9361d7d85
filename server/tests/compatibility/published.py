"""Every feature of the published Python client; run with it in the path, not by pytest."""

import sys
from pathlib import Path
from urllib.request import urlopen

from aistemsplitter import AIStemSplitter, AIStemSplitterError

base_url, api_key, song, song_url = sys.argv[1:]
client = AIStemSplitter(api_key, base_url=base_url)


def refused(call, code, status):
    """Expect the call to raise this error."""
    try:
        call()
    except AIStemSplitterError as error:
        raised = (error.code, error.status_code)
    else:
        raised = None
    assert raised == (code, status), raised


assert client.get_credits() == {"balance": 3600, "unit": "seconds"}

data = Path(song).read_bytes()
uploaded = client.upload_audio(data, filename="song.flac", content_type="audio/flac")
job = client.create_split(
    {"input": uploaded["input"], "stemModel": "htdemucs_ft", "metadata": {"order": "7"}},
    idempotency_key="order-7",
)
assert job["status"] == "queued"
assert job["creditsUsed"] == 20
again = client.create_split(
    {"input": uploaded["input"], "stemModel": "htdemucs_ft", "metadata": {"order": "7"}},
    idempotency_key="order-7",
)
assert again["id"] == job["id"]
split = client.wait_for_split(job["id"], timeout=120, interval=0.2)
assert split["status"] == "succeeded", split
assert split["metadata"] == {"order": "7"}
assert set(split["stems"]) == {"drums", "bass", "other", "vocals"}
for url in split["stems"].values():
    assert urlopen(url).read(4) == b"RIFF"

direct = client.create_split(
    {"input": {"type": "direct_url", "url": song_url}, "stemModel": "4s", "outputFormat": "mp3"}
)
split = client.wait_for_split(direct["id"], timeout=120, interval=0.2)
assert split["status"] == "succeeded", split
assert split["stemModel"] == "4s"
assert split["durationSeconds"] == split["creditsUsed"] == 20

assert client.get_credits()["balance"] == 3560
lost = client.create_split({"input": {"type": "direct_url", "url": "http://10.0.0.1/a.mp3"}})
split = client.wait_for_split(lost["id"], timeout=120, interval=0.2)
assert (split["status"], split["error"]["code"]) == ("failed", "INPUT_FORBIDDEN")

refused(lambda: client.get_split("split_unknown"), "NOT_FOUND", 404)
refused(lambda: client.create_split({"input": {"type": "nothing"}}), "VALIDATION_ERROR", 422)
refused(AIStemSplitter("ast_live_x", base_url=base_url).get_credits, "UNAUTHORIZED", 401)
print("done")
