"""The calls of both clients against the fake service, over a real socket."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aistemsplitter import (
    AiStemSplitter,
    Conflict,
    FileError,
    IdempotencyMismatch,
    InputError,
    InsufficientCredits,
    NotFound,
    Unauthorized,
    ValidationFailed,
)
from clients import KEY
from loopback import Loopback

URL = "https://example.com/song.mp3"
SUBMIT = r"^/v1/audio/splits$"


def test_submit_and_read(client: Any, loopback: Loopback) -> None:
    job = client.create_split(
        input={"type": "direct_url", "url": URL}, stem_model="htdemucs_ft", metadata={"song": "7"}
    )
    assert job.status == "queued"
    assert loopback.last_json() == {
        "input": {"type": "direct_url", "url": URL},
        "stemModel": "htdemucs_ft",
        "metadata": {"song": "7"},
    }
    split = client.get_split(job.id)
    assert (split.id, split.metadata, split.filename) == (job.id, {"song": "7"}, "song.mp3")


def test_options_by_their_names_in_the_api(client: Any, loopback: Loopback) -> None:
    options = {"bit_depth": 24, "sample_rate": 48_000, "shifts": 2, "seed": None}
    job = client.create_split(URL, options=options)
    wire = {"bitDepth": 24, "sampleRate": 48_000, "shifts": 2}
    assert loopback.last_json()["options"] == wire
    assert client.get_split(job.id).options == wire
    client.create_split(URL, options={"seed": None})
    assert "options" not in loopback.last_json()
    with pytest.raises(InputError, match="options= must be a mapping, not str"):
        client.create_split(URL, options="24")


def test_short_forms(client: Any) -> None:
    job = client.submit(audio_url=URL, model="htdemucs_6s", stems=["vocals"], output_format="flac")
    split = client.wait(job.id)
    assert list(split.stems) == ["vocals"]
    assert split.stem_model == "htdemucs_6s"
    assert client.submit(URL).status == "queued"
    assert client.submit("HTTPS" + URL.removeprefix("https")).status == "queued"


def test_cancel_delete_credits_models(client: Any) -> None:
    assert client.get_credits().balance == 36_000
    job = client.submit(audio_url=URL)
    cancelled = client.cancel_split(job.id)
    assert cancelled.failed
    assert cancelled.error.code == "CANCELED"
    assert client.cancel_split(job.id).failed  # a repeated call succeeds too
    assert client.get_credits().balance == 36_000
    assert client.delete_split(job.id).deleted
    with pytest.raises(NotFound):
        client.get_split(job.id)
    with pytest.raises(NotFound):
        client.delete_split(job.id)
    assert {model.id for model in client.models()} == {"htdemucs", "htdemucs_ft", "htdemucs_6s"}


def test_a_finished_split_cannot_be_cancelled(client: Any) -> None:
    job = client.submit(audio_url=URL)
    client.wait(job.id)
    with pytest.raises(Conflict):
        client.cancel_split(job.id)


def test_delete_whose_response_is_lost(client: Any, loopback: Loopback) -> None:
    job = client.submit(audio_url=URL)
    loopback.fault("reset_after", job.id)
    assert client.delete_split(job.id).deleted


def test_retries_use_one_key_and_create_one_split(client: Any, loopback: Loopback) -> None:
    loopback.fault("reset", SUBMIT)
    loopback.fault("reset_after", SUBMIT)
    loopback.fault("cut", SUBMIT, at=20)
    client.submit(audio_url=URL)
    assert len(loopback.idempotency_keys()) == 4
    assert len(set(loopback.idempotency_keys())) == 1
    assert loopback.service.balance == 36_000 - 180


def test_two_calls_have_two_keys(client: Any, loopback: Loopback) -> None:
    client.submit(audio_url=URL)
    client.submit(audio_url=URL)
    assert len(set(loopback.idempotency_keys())) == 2


def test_own_idempotency_key(client: Any) -> None:
    first = client.submit(audio_url=URL, idempotency_key="order-7")
    assert client.submit(audio_url=URL, idempotency_key="order-7").id == first.id
    with pytest.raises(IdempotencyMismatch):
        client.submit(audio_url=URL + "?other", idempotency_key="order-7")
    for bad in ("", "x" * 256, "line\nbreak", "schlüssel"):
        with pytest.raises(InputError):
            client.submit(audio_url=URL, idempotency_key=bad)


def test_not_enough_credits(client: Any, loopback: Loopback) -> None:
    loopback.service.balance = 100
    with pytest.raises(InsufficientCredits, match="80 seconds missing"):
        client.submit(audio_url=URL)


def test_unauthorized_and_invalid(client: Any, loopback: Loopback) -> None:
    with pytest.raises(ValidationFailed, match="stemModel"):
        client.submit(audio_url=URL, model="htdemucs_9s")
    loopback.service._api_key = "another"
    with pytest.raises(Unauthorized):
        client.get_credits()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"input": URL, "audio_url": URL},
        {"audio_url": URL, "model": "a", "stem_model": "b"},
        {"audio_url": URL, "stems": "vocals"},
        {"audio_url": URL, "metadata": {"a": object()}},
        {"input": 7},
    ],
)
def test_wrong_arguments(client: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        client.create_split(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metadata": 7},
        {"metadata": "a=b"},
        {"stems": 7},
        {"stems": {"vocals"}},
        {"idempotency_key": 7},
        {"extra_body": [1]},
    ],
)
def test_arguments_of_other_types(client: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong)).replace("_", "[_ ]")):
        client.create_split(URL, **wrong)


def test_ids_are_quoted_in_paths(client: Any, loopback: Loopback) -> None:
    with pytest.raises(NotFound):
        client.get_split("../../credits?x=#")
    assert loopback.seen[-1][1] == "/v1/audio/splits/..%2F..%2Fcredits%3Fx%3D%23"
    for bad in ("", "..", None):
        with pytest.raises(InputError):
            client.get_split(bad)


def test_objects_are_accepted_as_ids(client: Any, loopback: Loopback, tmp_path: Path) -> None:
    loopback.service._streams = True
    job = client.submit(audio_url=URL)
    split = client.get(client.get(job))
    assert client.wait(split).id == client.wait(job).id == job.id
    assert len(client.download(job, tmp_path)) == 4
    assert client.cancel_split(client.submit(audio_url=URL)).failed
    assert client.delete_split(split).id == job.id
    for wrong in (None, 7, b"split_1", object(), [split]):
        with pytest.raises(InputError, match="is not a split"):
            client.get_split(wrong)
        with pytest.raises(InputError, match="is not a split"):
            client.download(wrong, tmp_path)


def test_presign_by_path_alone(client: Any, loopback: Loopback, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"RIFF" * 5)
    for path in (song, str(song)):
        upload = client.presign_upload(path)
        assert loopback.last_json() == {
            "filename": "song.wav",
            "contentType": "audio/wav",
            "contentLength": 20,
        }
    stored = httpx2.put(upload.upload_url, headers=upload.upload_headers, content=song.read_bytes())
    assert stored.status_code == 200
    assert client.submit(upload.input).status == "queued"
    for missing in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(FileError) as caught:
            client.presign_upload(missing)
        assert caught.value.filename == str(missing)


def test_threads_share_a_client(loopback: Loopback) -> None:
    with AiStemSplitter(KEY, base_url=loopback.url) as client, ThreadPoolExecutor(32) as pool:
        ids = [job.id for job in pool.map(lambda _: client.submit(audio_url=URL), range(64))]
        assert len(set(ids)) == 64
    assert loopback.service.balance == 36_000 - 64 * 180
    assert threading.active_count() < 40


def test_threads_split_and_download_with_one_client(loopback: Loopback, tmp_path: Any) -> None:
    loopback.service._streams = True

    def split_and_download(number: int) -> int:
        job = client.submit(audio_url=URL)
        paths = client.download(client.wait(job.id), tmp_path / str(number))
        return len({path.read_bytes() for path in paths.values()}) + len(paths)

    with AiStemSplitter(KEY, base_url=loopback.url) as client, ThreadPoolExecutor(32) as pool:
        assert list(pool.map(split_and_download, range(32))) == [1 + 4] * 32
