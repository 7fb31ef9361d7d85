"""Payments: packs of credits that are bought."""
