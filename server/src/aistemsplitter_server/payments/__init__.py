"""Payments: buying packs of credits."""
