"""Confinement of child processes that handle users' files."""
