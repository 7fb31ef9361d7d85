"""Arguments for running the published clients."""

from __future__ import annotations

from dataclasses import dataclass

from processes import SONG


@dataclass(frozen=True)
class Endpoint:
    """Arguments of a published client: the service's URL, a key, and a song's URL."""

    base_url: str
    api_key: str
    song_url: str

    @property
    def arguments(self) -> list[str]:
        """Return the arguments for the programs in this folder."""
        return [self.base_url, self.api_key, str(SONG), self.song_url]
