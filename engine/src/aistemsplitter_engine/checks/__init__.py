"""Verification of an installed model on the user's own machine: ``models check``.

``check`` verifies its files and separates a sample, and ``references`` separates the same sample
with the package that published the family, to compare the stems.
"""
