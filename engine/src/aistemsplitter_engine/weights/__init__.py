"""Weights of models: the catalogue, download, storage, and readers of checkpoints.

``catalogue`` lists the models, ``store`` finds their files on this machine, ``download`` installs
them, and ``checkpoint`` reads one file: an official one, the hub's, or one of the user's own.
"""
