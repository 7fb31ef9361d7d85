"""What all domains share: settings, ids, errors, times, secrets, database."""
