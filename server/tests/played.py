"""Songs for the player's tests: known samples, stored as the worker stores them."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray

from aistemsplitter_engine.audio import StemWriter
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import listening, player
from aistemsplitter_server.splits.tables import SUCCEEDED, Listening, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.worker import cutting

RATE = 44_100
Tracks = dict[str, NDArray[np.int16]]  # (2, frames) each


def noise(seconds: float, seed: int, level: int = 4000) -> NDArray[np.int16]:
    """Return noise: each sample identifies its position."""
    frames = round(seconds * RATE)
    drawn = np.random.default_rng(seed).integers(-level, level, (2, frames))
    return drawn.astype(np.int16)


def sine(seconds: float, frequency: float, level: int) -> NDArray[np.int16]:
    """Return a tone, the same on both channels."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = (level * np.sin(2 * np.pi * frequency * time)).astype(np.int16)
    return np.stack([wave, wave])


@dataclass(frozen=True)
class Player:
    """Stores songs in the service, and returns the player's data of their pages."""

    app: FastAPI
    database: Database
    folder: Path
    base_url: str

    @property
    def _storage(self) -> Storage:
        return self.app.state.context.storage.at(self.base_url)

    def store(self, split: Split, tracks: Tracks, state: str = listening.COPY_READY) -> None:
        """Make a split succeed with these tracks; the track ``mixture`` is the song."""
        work = self.folder / split.id
        work.mkdir()
        stems = {name: work / f"{name}.flac" for name in tracks}
        for name, samples in tracks.items():
            frames = samples.shape[1]
            with StemWriter(stems[name], OutputFormat("flac"), RATE, 2, frames=frames) as writer:
                writer.write(samples.astype(np.float32) / 32768)
        song = stems.pop(cutting.MIXTURE, None)
        index = work / cutting.INDEX
        with ExitStack() as opened:

            def file(path: Path, mode: str) -> int:
                return opened.enter_context(path.open(mode)).fileno()

            task = cutting.Task(
                copies={name: file(work / f"{name}.pieces", "wb") for name in tracks},
                index=-1,
                stems={name: file(path, "rb") for name, path in stems.items()},
                song=song and file(song, "rb"),
                gain=1.0,
                whole=[],
                seconds=next(iter(tracks.values())).shape[1] / RATE,
            )
            index.write_text(json.dumps(cutting.cut(task)))
        for path in work.glob("*.pieces"):
            self._storage.put_file(keys.pieces(split.id, 1, path.stem), path)
        (self.folder / "stored").mkdir(exist_ok=True)
        for name, path in stems.items():
            shutil.copy(path, self.folder / "stored" / f"{split.id}-{name}.flac")
            self._storage.put_file(keys.stem(split.id, 1, name, "flac"), path)
        self._storage.put_file(keys.player(split.id, 1), index)
        now = times.now()
        with self.database.write() as session:
            row = session.get_one(Split, split.id)
            row.status, row.stored_attempt, row.stems = SUCCEEDED, 1, [*stems]
            row.output_format, row.sample_rate, row.progress = "flac", RATE, 1.0
            row.revision += 1
            row.finished_at, row.expires_at = now, now + timedelta(hours=72)
            session.add(
                Listening(
                    split_id=split.id,
                    attempt=1,
                    state=state,
                    requested_at=now,
                    ready_at=now,
                )
            )

    def becomes(self, split: Split, state: str) -> None:
        """Set the state of the listening copies."""
        with self.database.write() as session:
            session.get_one(Listening, split.id).state = state

    def data(self, split: Split) -> dict[str, Any]:
        """Return the player's data of the song's page."""
        with self.database.read() as session:
            row = session.get_one(Split, split.id)
        return player.data(self.database, self._storage, row, timedelta(hours=1))
