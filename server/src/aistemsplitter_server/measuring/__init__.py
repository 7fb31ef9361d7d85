"""How long an audio file lasts, by decoding it in a process that can do nothing else."""

from aistemsplitter_server.measuring.measure import Measured, MeasuringFailed, measure, warm

__all__ = ["Measured", "MeasuringFailed", "measure", "warm"]
