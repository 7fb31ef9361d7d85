"""The hierarchy of errors."""

from __future__ import annotations

from aistemsplitter_engine import errors


def test_a_full_disk_is_not_an_audio_error() -> None:
    """``except AudioError`` is for songs that cannot be read."""
    assert not issubclass(errors.OutputError, errors.AudioError)


def test_all_are_engine_errors() -> None:
    raised = [error for error in vars(errors).values() if isinstance(error, type)]
    assert all(issubclass(error, errors.EngineError) for error in raised)
