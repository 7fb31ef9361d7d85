"""Alembic migrations of the database, and ``migrate.py``, which runs and checks them.

A migration is a frozen copy: it imports nothing of the service, not even helpers, so that it does
the same for ever. What two of them have in common is written out in each.
"""
