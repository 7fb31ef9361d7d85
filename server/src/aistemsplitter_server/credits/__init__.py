"""Credits: a ledger of immutable entries. One credit is one second of source audio."""
