"""Splits: from the request to the stems."""
