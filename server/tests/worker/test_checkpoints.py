"""Checkpoints of long songs: another machine, with a disk of its own, resumes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from aistemsplitter_engine.pipeline import spool as engine_spool
from aistemsplitter_engine.pipeline.spool import Spool
from aistemsplitter_engine.pipeline.write import WORK
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.worker import checkpoints
from aistemsplitter_server.worker.attempt import Attempt
from aistemsplitter_server.worker.checkpoints import Checkpoints
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.work_folder import STEMS
from customers import Customer
from databases import Databases, only_sqlite
from processes import until
from sweeps import sweep

pytestmark = [
    only_sqlite,
    pytest.mark.skipif(find_spec("boto3") is None, reason="needs boto3"),
]

NAMES = ("drums", "vocals")
RUN = {"song": "7"}
Opened: TypeAlias = Callable[..., Spool]


@pytest.fixture
def settings(bucket_address: str, tmp_path: Path, databases: Databases) -> Settings:
    """Settings of a service whose files are in a bucket."""
    data = tmp_path / "data"
    return Settings(data=data, database_url=databases.url(data), storage=bucket_address)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let short songs have checkpoints of several objects, and the engine write at once."""
    monkeypatch.setattr(checkpoints, "LONG", 0.0)
    monkeypatch.setattr(checkpoints, "CHUNK", 4000)
    monkeypatch.setattr(engine_spool, "_IN_MEMORY", 0.0)
    monkeypatch.setattr(engine_spool, "_JOURNAL_PAUSE", 0)


@pytest.fixture
def split_id(someone: Customer) -> str:
    """A split in the queue."""
    return someone.split().id


def begin(context: WorkerContext, split_id: str) -> Attempt:
    """Begin another attempt."""
    with context.database.write() as session:
        split = service.begin(session, split_id, "wrk_1")
    assert split is not None
    return Attempt(context, split)


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Function that opens the engine's spool in an attempt's folder and resumes its run."""
    spools: list[Spool] = []

    def open_one(folder: Path, seed: int = 5, run: dict[str, str] = RUN) -> Spool:
        (folder / STEMS).mkdir(parents=True, exist_ok=True)
        spool = Spool(folder / STEMS / WORK, NAMES, run, seed, resume=True)
        spools.append(spool.__enter__())  # a killed run never leaves it
        return spool

    yield open_one
    for spool in spools:
        spool.end()


def samples(start: int, stop: int) -> np.ndarray:
    """Return samples (stems, 2, n) that are all different."""
    ramp = np.arange(start, stop, dtype=np.float32)
    return np.stack([np.stack([ramp, -ramp]) + number for number in range(len(NAMES))])


def read(spool: Spool, stem: str) -> np.ndarray:
    """Return all samples of a stem, as an encoder gets them."""
    spool.end()
    return np.concatenate([*spool.follow(stem)], axis=1)


def test_another_machine_resumes(
    context: WorkerContext, split_id: str, tmp_path: Path, opened: Opened
) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    spool, saved = opened(first), Checkpoints(context, begin(context, split_id), first)
    spool.append(samples(0, 3000))
    saved.save()
    spool.append(samples(3000, 3100))
    saved.save()
    spool.append(samples(3100, 4000))  # is lost with the machine
    for folder, done in ((second, 3100), (third, 5000)):
        resumed = Checkpoints(context, begin(context, split_id), folder)
        resumed.restore()
        spool = opened(folder, seed=9)
        assert (spool.frames, spool.seed) == (done, 5)
        spool.append(samples(done, done + 1900))
        resumed.save()
    for number, stem in enumerate(NAMES):
        assert np.array_equal(read(spool, stem), samples(0, 6900)[number])

    names = [*context.storage.walk(keys.CHECKPOINTS)]
    assert len(names) > len(NAMES) * 6900 * 8 // 4000
    sweep(context, "checkpoints")
    assert [*context.storage.walk(keys.CHECKPOINTS)] == names, "the split has not ended"
    with context.database.write() as session:
        service.cancel(session, session.get_one(Split, split_id))
    sweep(context, "checkpoints")
    assert [*context.storage.walk(keys.CHECKPOINTS)] == []


def test_a_run_that_begins_again(
    context: WorkerContext, split_id: str, tmp_path: Path, opened: Opened
) -> None:
    """As after an update of the engine, whose stems differ."""
    first, second = tmp_path / "first", tmp_path / "second"
    spool, saved = opened(first), Checkpoints(context, begin(context, split_id), first)
    spool.append(samples(0, 900))
    saved.save()
    opened(first, 6, {"song": "8"}).append(samples(5, 105))
    saved.save()
    Checkpoints(context, begin(context, split_id), second).restore()
    spool = opened(second, 1, {"song": "8"})
    assert (spool.frames, spool.seed) == (100, 6)
    assert np.array_equal(read(spool, "drums"), samples(5, 105)[0])


def test_an_incomplete_checkpoint(
    context: WorkerContext, split_id: str, tmp_path: Path, opened: Opened
) -> None:
    spool, saved = opened(tmp_path), Checkpoints(context, begin(context, split_id), tmp_path)
    spool.append(samples(0, 900))
    saved.save()
    context.storage.delete_prefix(keys.checkpoint(split_id, 1, "drums-500.f32"))
    other = tmp_path / "other"
    Checkpoints(context, begin(context, split_id), other).restore()
    assert not (other / STEMS / WORK).exists()
    assert opened(other).frames == 0


def test_checkpoints_are_saved_during_the_separation(
    context: WorkerContext,
    split_id: str,
    tmp_path: Path,
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.01)
    attempt = begin(context, split_id)
    with checkpoints.kept(context, attempt, tmp_path):
        opened(tmp_path).append(samples(0, 900))
        index = keys.checkpoint(split_id, attempt.number, checkpoints.INDEX)
        until(lambda: index in context.storage.walk(keys.CHECKPOINTS))
    assert not [thread for thread in threading.enumerate() if thread.name == "checkpoint"]
    monkeypatch.setattr(checkpoints, "LONG", 1200.0)
    short = tmp_path / "short"
    with checkpoints.kept(context, begin(context, split_id), short):
        assert not short.exists(), "a short song starts again"
    on_disk = replace(context, settings=context.settings.model_copy(update={"storage": None}))
    monkeypatch.setattr(checkpoints, "LONG", 0.0)
    with checkpoints.kept(on_disk, begin(context, split_id), short):
        assert not short.exists(), "the folder itself is kept"
