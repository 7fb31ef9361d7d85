"""What a worker asks its engine for, and what it does when the engine fails."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.worker.attempt import Attempt, SplitFailed
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.engine import Failed
from aistemsplitter_server.worker.engines import Engines
from aistemsplitter_server.worker.separating import OUT_OF_DISK
from aistemsplitter_server.worker.separation import _separate
from aistemsplitter_server.worker.shortages import Shortage
from customers import Customer, customer
from databases import only_sqlite

pytestmark = only_sqlite


@pytest.fixture
def engines() -> Mock:
    """Engines without room on their disk."""
    failed = Failed(OUT_OF_DISK, "no room")
    return Mock(spec=Engines, separate=Mock(side_effect=failed))


def begun(context: WorkerContext, whose: Customer, **fields: object) -> Split:
    """Return a split that has begun, with an empty song in the storage."""
    split_id = whose.split_of(whose.upload(), **fields).id
    split = context.write(lambda session: service.begin(session, split_id, "wrk_1"))
    assert split is not None
    song = context.settings.data / "song"
    song.write_bytes(b"")
    context.storage.put_file(keys.source(split.id, split.upload_id), song)
    return split


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(20.0, Shortage), (1e12, SplitFailed)],
    ids=["waits for room", "larger than the disk"],
)
def test_a_full_disk(
    context: WorkerContext,
    someone: Customer,
    engines: Mock,
    seconds: float,
    error: type[Exception],
) -> None:
    split = begun(context, someone)
    split.duration_seconds = seconds
    with pytest.raises(error):
        _separate(context, engines, Attempt(context, split))


@pytest.mark.parametrize("test", [False, True], ids=["live", "test"])
def test_test_keys_separate_in_one_pass(
    context: WorkerContext, server_secrets: Secrets, engines: Mock, test: bool
) -> None:
    whose = customer(context.database, server_secrets, test=test)
    split = begun(context, whose, options={"shifts": 3, "seed": 7, "clip": "clamp"})
    with pytest.raises(Shortage):
        _separate(context, engines, Attempt(context, split))
    chosen = engines.separate.call_args.args[0].options
    assert chosen["clip"] == "clamp"
    assert {"shifts", "seed", "overlap"}.isdisjoint(chosen) is test
