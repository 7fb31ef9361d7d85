"""Weights: which models there are, where their files lie, getting them, and reading them safely.

``catalogue`` names the models, ``store`` finds their files on this machine, ``download`` installs
them, and ``checkpoint`` reads one file, whether official, from the hub or a user's own.
"""
