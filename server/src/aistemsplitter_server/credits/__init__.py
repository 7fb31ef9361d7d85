"""Credits: a ledger of immutable entries; one credit is one second of source audio."""
