"""Retention: what is deleted when its time is over, and how the sweeps that do it fare."""
