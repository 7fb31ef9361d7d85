"""The sample split in the payload of a test event. It is in no table."""

from __future__ import annotations

from datetime import timedelta

from aistemsplitter_server.models.catalogue import HTDEMUCS_FT
from aistemsplitter_server.splits.tables import FAILED, SUCCEEDED, Split
from aistemsplitter_server.webhooks.tables import Event

SECONDS = 180
TOOK = timedelta(seconds=70)


def split(event: Event) -> Split:
    """Return a split that ended as the event says. The URLs of its stems answer 404."""
    succeeded = event.type == f"split.{SUCCEEDED}"
    return Split(
        id=event.split_id,
        account_id=event.account_id,
        key_id=event.key_id,
        status=SUCCEEDED if succeeded else FAILED,
        stem_model=HTDEMUCS_FT.name,
        served_by=HTDEMUCS_FT.name,
        output_format="wav",
        stems=[*HTDEMUCS_FT.stems],
        filename="sample.wav",
        duration_seconds=SECONDS,
        sample_rate=44100,
        credits_used=SECONDS if succeeded else 0,
        progress=1.0 if succeeded else 0.4,
        stored_attempt=1 if succeeded else None,
        error_code=None if succeeded else "INTERNAL",
        error_message=None if succeeded else "A sample of a split that failed.",
        warnings=[],
        split_metadata={},
        created_at=event.created_at - TOOK,
        updated_at=event.created_at,
        expires_at=event.created_at + timedelta(hours=72),
    )
