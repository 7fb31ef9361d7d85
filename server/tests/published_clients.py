"""What the clients that are in the world are driven with."""

from __future__ import annotations

from dataclasses import dataclass

from processes import SONG


@dataclass(frozen=True)
class Endpoint:
    """What a published client needs: the service's URL, a key, and a song's URL."""

    base_url: str
    api_key: str
    song_url: str

    @property
    def arguments(self) -> list[str]:
        """For the programs in this folder."""
        return [self.base_url, self.api_key, str(SONG), self.song_url]
