from __future__ import annotations

import gc

import pytest

from aistemsplitter_server.kit.imports import without_collection


def test_the_garbage_collector_pauses_during_imports() -> None:
    with without_collection():
        assert not gc.isenabled()
        kept: list[object] = []
    assert gc.isenabled()
    assert all(one is not kept for one in gc.get_objects()), "the collector still examines it"
    gc.unfreeze()


def test_it_runs_again_after_a_failed_import() -> None:
    with pytest.raises(ImportError, match="no module"), without_collection():
        raise ImportError("no module")
    assert gc.isenabled()
