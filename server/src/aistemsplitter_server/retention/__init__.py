"""Retention: what is deleted after which time, and the state of the sweeps that delete it."""
