"""Digests of weights, which are not computed again for unchanged files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from aistemsplitter_engine.weights import digests


@pytest.mark.parametrize("writable", [True, False], ids=["recorded", "in this process"])
def test_a_file_is_read_again_only_if_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    weights, models = tmp_path / "weights", tmp_path / "models"
    weights.write_bytes(b"one")
    if not writable:
        models.write_bytes(b"")  # a file, in which no record can be written
    reads, compute = [], hashlib.file_digest

    def counted(file: object, name: str) -> object:
        reads.append(name)
        return compute(file, name)  # type: ignore[arg-type]  # passed on as it comes

    monkeypatch.setattr(hashlib, "file_digest", counted)
    for _ in range(2):
        assert digests.sha256_of(weights, models) == hashlib.sha256(b"one").hexdigest()
    assert len(reads) == 1
    assert (models / digests.RECORD).is_file() is writable
    weights.write_bytes(b"another")
    os.utime(weights, (1, 1))
    assert digests.sha256_of(weights, models) == hashlib.sha256(b"another").hexdigest()
    assert len(reads) == 2
