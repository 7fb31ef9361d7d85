"""Measuring the duration of audio files by decoding them in a confined process."""

from aistemsplitter_server.measuring.measure import Measured, MeasuringFailed, measure, warm

__all__ = ["Measured", "MeasuringFailed", "measure", "warm"]
