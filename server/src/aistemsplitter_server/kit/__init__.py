"""Shared building blocks: settings, ids, errors, times, secrets, database, jobs, outgoing HTTP."""
