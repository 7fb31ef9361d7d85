"""Scraping the metrics, which need a token."""

from __future__ import annotations

import httpx2

METRICS_TOKEN = "token-of-the-tests"


def scraped(client: httpx2.Client) -> str:
    """Return the metrics as text."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    assert answer.status_code == 200, answer.text
    return answer.text
