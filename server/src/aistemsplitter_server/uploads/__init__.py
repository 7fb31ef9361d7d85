"""Uploads: reserving them, receiving their bytes, and measuring their audio."""
