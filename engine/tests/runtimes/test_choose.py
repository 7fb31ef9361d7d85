"""Choice of the device."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator

import pytest

from aistemsplitter_engine.runtimes import choose


@pytest.fixture
def _gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pretend that this machine has a GPU but not PyTorch."""
    monkeypatch.setattr(choose, "_has_gpu", lambda: True)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    choose._warn_of_unused_gpu.cache_clear()
    yield
    choose._warn_of_unused_gpu.cache_clear()


@pytest.mark.usefixtures("_gpu")
def test_an_unused_gpu_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        choose.open_runtime("auto", "float32")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "The CPU is used although this machine has a GPU: PyTorch is not installed:"
        " pip install 'aistemsplitter-engine[torch]'. Device cpu silences this warning."
    )


@pytest.mark.usefixtures("_gpu")
def test_no_warning_if_the_cpu_was_requested(caplog: pytest.LogCaptureFixture) -> None:
    choose.open_runtime("cpu", "float32")
    assert caplog.records == []
