"""Downloading weights while working, from a mirror on this machine."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from aistemsplitter_server.worker import weights
from peers import Peer, answers
from processes import until


@pytest.fixture(autouse=True)
def _nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AISTEMSPLITTER_WEIGHTS_PATH", "TORCH_HOME", "HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(tmp_path / "models"))


def test_a_mirror_without_the_weights(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(weights, "PAUSES", (3600,))
    stop, downloading = threading.Event(), threading.Event()
    with Peer([answers(404)]) as peer:
        monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", peer.url)
        weights.fetch_in_background(stop, downloading)
        until(lambda: "retrying missing models in 60 min" in caplog.text)
        assert not downloading.is_set()
        stop.set()
    for name in ("htdemucs_ft", "htdemucs", "htdemucs_6s"):
        assert f"{name} could not be downloaded" in caplog.text
    assert weights.missing() == ["htdemucs_ft", "htdemucs", "htdemucs_6s"]
    ended = [each for each in threading.enumerate() if each.name == "weights"]
    for thread in ended:
        thread.join(60)
        assert not thread.is_alive()
