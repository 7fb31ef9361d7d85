"""Listening copies: pieces that browsers can fetch and decode independently."""

from __future__ import annotations

import io
import shutil
from base64 import b64decode
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from aistemsplitter_engine.audio import AudioFile, StemWriter, resample
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import listening, player
from aistemsplitter_server.splits.tables import Listening, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import Storage
from customers import Customer, customer
from databases import only_sqlite
from peers import Peer, answers
from processes import SONG, Service, ended, split, until, upload

pytestmark = only_sqlite  # splits/test_listening.py tests the queries on both databases

HOUR = timedelta(hours=1)


@pytest.fixture
def storage(settings: Settings, server_secrets: Secrets) -> Storage:
    """The service's storage."""
    return configured(settings, server_secrets)


def row(someone: Customer, split_id: str) -> Split:
    with someone.database.read() as session:
        return session.get_one(Split, split_id)


def heard(someone: Customer, storage: Storage, split_id: str) -> dict[str, Any]:
    """Return the player's data once the listening copies exist."""

    def look() -> dict[str, Any] | None:
        data = player.data(someone.database, storage, row(someone, split_id), HOUR)
        return data if data["state"] != "queued" else None

    found: dict[str, Any] = until(look)
    assert found["state"] == "ready", found
    return found


def samples(storage: Storage, track: dict[str, Any]) -> NDArray[np.int16]:
    """Return a track, decoded piece by piece with FFmpeg as browsers do."""
    with storage.open(urlsplit(track["url"]).path.removeprefix("/storage/")) as file:
        whole = file.read()
    assert track["offsets"][-1] == len(whole)
    parts = []
    for start, end in zip(track["offsets"], track["offsets"][1:], strict=False):
        with av.open(io.BytesIO(whole[start:end])) as container:
            assert container.format.name == "flac"
            decoded = [frame.to_ndarray() for frame in container.decode(audio=0)]
        parts.append(np.concatenate(decoded, axis=1).reshape(-1, 2).T)
    return np.concatenate(parts, axis=1)


def at_16_bit(path: Path, rate: int | None = None, gain: float = 1.0) -> NDArray[np.int16]:
    song = AudioFile(path)
    blocks = resample(song.blocks(), song.sample_rate, rate or song.sample_rate)
    steps = np.rint(np.concatenate([*blocks], axis=1) * np.float32(gain) * np.float32(32768))
    return np.clip(steps, -32768, 32767).astype(np.int16)


def stem_path(settings: Settings, split_id: str, name: str, extension: str) -> Path:
    return settings.data / "storage" / keys.stem(split_id, 1, name, extension)


def test_pieces_equal_the_stems_to_the_sample(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    settings: Settings,
) -> None:
    service.start("worker")
    split_id = split(client, upload(client), outputFormat="flac")
    ended(client, split_id)
    with someone.database.read() as session:
        assert session.get(Listening, split_id) is None, "copies exist although none were requested"
    data = heard(someone, storage, split_id)
    assert (data["title"], data["format"]) == ("mixture", "flac")
    assert (data["sampleRate"], data["frames"]) == (44100, 20 * 44100)
    assert data["mixtureIsSong"] is True
    names = [track["name"] for track in data["tracks"]]
    assert names == ["drums", "bass", "other", "vocals", "mixture"]
    files = {name: stem_path(settings, split_id, name, "flac") for name in names[:-1]}
    for track in data["tracks"]:
        name = track["name"]
        found, wanted = samples(storage, track), at_16_bit(files.get(name, SONG))
        assert len(track["offsets"]) == 1 + 4
        assert np.array_equal(found, wanted), name
        # The waveform matches the samples.
        peaks, levels = (np.frombuffer(b64decode(track[key]), np.uint8) for key in _WAVEFORM)
        width = data["binFrames"]
        assert len(peaks) == len(levels) == -(-data["frames"] // width) == 2000
        loud = np.abs(found[:, 7 * width : 8 * width].astype(float)) / 32768 * 255
        assert peaks[7] == round(loud.max())
        assert levels[7] == round(float(np.sqrt((loud**2).mean())))
    # A piece is a byte range of an ordinary URL.
    track = data["tracks"][3]
    start, end = track["offsets"][1:3]
    part = client.get(_path(track["url"]), headers={"Range": f"bytes={start}-{end - 1}"})
    assert (part.status_code, part.content[:4], len(part.content)) == (206, b"fLaC", end - start)
    assert client.get(_path(track["download"])).status_code == 200
    assert data["tracks"][-1]["download"] is None
    # They are deleted with the split.
    assert client.delete(f"/v1/audio/splits/{split_id}").status_code == 200
    assert not (settings.data / "storage" / keys.split(split_id)).exists()


_WAVEFORM = ("peaks", "levels")


def test_copies_of_studio_songs_are_made_in_advance(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    settings: Settings,
) -> None:
    """Also of a fetched song, whose file is kept until the copies exist."""
    in_studio = replace(someone, caller=replace(someone.caller, key_id="usr_someone"))
    with Peer([answers(200, SONG.read_bytes())]) as peer:
        split_id = in_studio.fetch(peer.url)
        service.start("worker")
        until(lambda: _state(someone, split_id) == listening.COPY_READY)
    assert ended(client, split_id)["status"] == "succeeded"
    data = heard(someone, storage, split_id)
    assert data["mixtureIsSong"] is True
    assert np.array_equal(samples(storage, data["tracks"][-1]), at_16_bit(SONG))
    until(lambda: not any((settings.data / "storage" / "fetched").iterdir()))
    assert not any((settings.data / "listening").iterdir())


def test_the_song_is_played_at_the_level_of_its_stems(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    tmp_path: Path,
) -> None:
    """Stems of a song at full scale can exceed it, and are then attenuated."""
    loud = tmp_path / "loud.wav"
    audio = np.concatenate([*AudioFile(SONG).blocks()], axis=1)[:, : 44100 * 8]
    with StemWriter(loud, OutputFormat("wav"), 44100, 2, frames=audio.shape[1]) as writer:
        writer.write((audio * 9).clip(-1, 1))
    service.start("worker")
    split_id = split(client, upload(client, loud))
    (warning,) = (w for w in ended(client, split_id)["warnings"] if "attenuated" in w)
    gain = row(someone, split_id).gain
    assert gain is not None
    assert 0.2 < gain < 1
    assert f"to {gain:.3g} of their level" in warning
    original = heard(someone, storage, split_id)["tracks"][-1]
    assert original["name"] == "mixture"
    assert np.array_equal(samples(storage, original), at_16_bit(loud, gain=gain))


def test_the_song_was_deleted(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    settings: Settings,
) -> None:
    """The sum of the stems replaces it if they are complete, and is marked as a sum."""
    upload_id = upload(client)
    service.start("worker")
    two = split(client, upload_id, stems=["vocals", "instrumental"])
    some = split(client, upload_id, stems=["drums", "vocals"])
    ended(client, two), ended(client, some)
    shutil.rmtree(settings.data / "storage" / "uploads")
    data = heard(someone, storage, two)
    assert data["mixtureIsSong"] is False
    vocals, rest = (
        at_16_bit(stem_path(settings, two, name, "wav")).astype(int)
        for name in ("vocals", "instrumental")
    )
    mixture = samples(storage, data["tracks"][2])
    assert np.array_equal(mixture, np.clip(vocals + rest, -32768, 32767))
    data = heard(someone, storage, some)
    assert [track["name"] for track in data["tracks"]] == ["drums", "vocals"]


def test_a_high_rate_and_a_test_key(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    server_secrets: Secrets,
    tmp_path: Path,
) -> None:
    """The original is cut to the length for test keys, and resampled to 48 kHz."""
    rate, seconds = 88_200, 33
    time = np.arange(rate * seconds) / rate
    tone = (9000 * np.sin(2 * np.pi * 440 * time)).astype("<i2")
    song = tmp_path / "high.flac"
    with av.open(str(song), "w") as container:
        stream = container.add_stream("flac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    tester = customer(someone.database, server_secrets, test=True)
    client.headers.update(tester.headers)
    service.start("worker")
    split_id = split(client, upload(client, song), stems=["vocals"])
    ended(client, split_id)
    data = heard(tester, storage, split_id)
    assert (data["sampleRate"], data["frames"]) == (48_000, 30 * 48_000)
    assert data["pieceFrames"] % 180 == 0
    mixture = samples(storage, data["tracks"][1])
    wanted = at_16_bit(song, 48_000)[:, : 30 * 48_000]
    assert np.array_equal(mixture, wanted)


def test_a_split_that_is_deleted_meanwhile(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    settings: Settings,
    long_song: Path,
) -> None:
    service.start("worker")
    split_id = split(client, upload(client, long_song))
    ended(client, split_id)
    player.data(someone.database, storage, row(someone, split_id), HOUR)
    folder = settings.data / "listening"
    until(lambda: folder.is_dir() and any(folder.glob("*/*.pieces")))
    assert client.delete(f"/v1/audio/splits/{split_id}").status_code == 200
    until(lambda: not any(folder.iterdir()))
    assert not (settings.data / "storage" / keys.split(split_id)).exists()


def test_another_worker_repeats_the_copies_of_a_killed_worker(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    settings: Settings,
    long_song: Path,
) -> None:
    worker = service.start("worker")
    split_id = split(client, upload(client, long_song))
    ended(client, split_id)
    player.data(someone.database, storage, row(someone, split_id), HOUR)
    folder = settings.data / "listening"
    until(lambda: folder.is_dir() and any(folder.glob("*/*.pieces")))
    worker.kill()
    worker.wait()
    service.start("worker")
    data = heard(someone, storage, split_id)
    assert data["frames"] == 180 * 44100
    until(lambda: not any(folder.iterdir()))


def test_failed_copies_are_reported_and_retried(
    client: httpx2.Client,
    service: Service,
    someone: Customer,
    storage: Storage,
    settings: Settings,
) -> None:
    service.start("worker")
    split_id = split(client, upload(client), stems=["vocals"])
    ended(client, split_id)
    stem = stem_path(settings, split_id, "vocals", "wav")
    whole = stem.read_bytes()
    stem.write_bytes(b"not audio")
    split_row = row(someone, split_id)
    player.data(someone.database, storage, split_row, HOUR)
    until(lambda: _state(someone, split_id) == listening.COPY_FAILED)
    assert player.data(someone.database, storage, split_row, HOUR)["state"] == "failed"
    assert ended(client, split_id)["status"] == "succeeded", "the split itself is unchanged"
    stem.write_bytes(whole)
    with someone.database.write() as session:
        session.get_one(Listening, split_id).requested_at -= timedelta(minutes=2)
    assert heard(someone, storage, split_id)["frames"] == 20 * 44100


def test_no_player_without_stems(someone: Customer, storage: Storage) -> None:
    made = someone.split()
    with pytest.raises(Conflict, match="queued"):
        player.data(someone.database, storage, made, HOUR)
    made.status, made.stored_attempt, made.expires_at = "succeeded", 1, times.now()
    with pytest.raises(NotFound, match="deleted"):
        player.data(someone.database, storage, made, HOUR)


def _path(url: str) -> str:
    """Return the path without host and port, which come from the settings outside of a request."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _state(someone: Customer, split_id: str) -> str | None:
    with someone.database.read() as session:
        copy = session.get(Listening, split_id)
        return copy and copy.state
