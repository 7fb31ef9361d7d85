"""Uploads: the right to write one object once, the bytes, and how long their audio lasts."""
