"""A check of an MP4's tables before FFmpeg builds its index from them.

A few bytes there can claim billions of samples, and FFmpeg allocates memory for each without
checking that the file could hold them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from aistemsplitter_engine.audio.peek import number_at, peek, size_of

MAX_ENTRIES = 10_000_000
"""Maximum size of FFmpeg's index: about 400 MB, enough for fifty hours of AAC."""

_MAX_ATOMS = 1_000_000
_MAX_DEPTH = 12
_MAX_TABLE = 1 << 24  # bytes of the only table that is read as a whole

# The atoms that FFmpeg descends into. "meta" has four more bytes after the header.
_PARENTS = {
    *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"clip", b"meta"),
    *(b"moof", b"traf", b"mvex", b"mfra", b"wave", b"sinf", b"schi", b"ilst", b"clef", b"tref"),
}
_PCM_STEP = 1024  # samples of one tick each per entry of FFmpeg's index


class ClaimsTooMuchError(ValueError):
    """The tables claim more samples than the file can hold."""


def check_index(file: BinaryIO) -> None:
    """Raise ClaimsTooMuchError if the index of this MP4 would take too much memory.

    Other files have no such tables.
    """
    size = size_of(file)
    claimed = sum(track.entries() for track in _tracks(file, size))
    if claimed > min(MAX_ENTRIES, max(size, 1000)):
        raise ClaimsTooMuchError


def is_fragmented(file: BinaryIO) -> bool:
    """Return whether the audio comes in fragments, as in a stream that was recorded."""
    return any(name == b"moof" for name, _, _ in _atoms(file, size_of(file)))


@dataclass
class _Track:
    """The size that the tables of a track, or of all fragments, claim."""

    samples: int = 0
    chunks: int = 0
    fullest_chunk: int = 0
    ticks: list[tuple[int, int]] = field(default_factory=list)  # entries, ticks of the first

    def entries(self) -> int:
        """Return the number of entries that FFmpeg's index will have."""
        if any(tick != (1, 1) for tick in self.ticks):
            return self.samples
        # Uncompressed: by chunks, in steps.
        return self.chunks * (1 + self.fullest_chunk // _PCM_STEP)


def _tracks(file: BinaryIO, whole: int) -> Iterator[_Track]:
    track = _Track()
    for name, start, end in _atoms(file, whole):
        if name == b"cmov":  # a compressed index, obsolete since the nineties, hides its tables
            raise ClaimsTooMuchError
        if name == b"trak":
            yield track
            track = _Track()
        elif name == b"stts":
            track.ticks.append((number_at(file, start + 4), number_at(file, start + 12)))
        elif name == b"stsz" or name == b"stz2":
            count = number_at(file, start + 8)
            a_table = not number_at(file, start + 4) or name == b"stz2"
            track.samples += min(count, 2 * (end - start)) if a_table else count
        elif name == b"stsc":
            size = min(end - start - 8, 12 * number_at(file, start + 4))
            if size > _MAX_TABLE:
                raise ClaimsTooMuchError
            table = peek(file, start + 8, size)
            for at in range(4, len(table) - 3, 12):
                count = int.from_bytes(table[at : at + 4], "big")
                track.fullest_chunk = max(track.fullest_chunk, count)
        elif name in (b"stco", b"co64"):
            track.chunks += min(number_at(file, start + 4), end - start)
        elif name == b"trun":
            yield _Track(number_at(file, start + 4), ticks=[(0, 0)])
    yield track


def _atoms(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each atom, parents before their children."""
    ends = [size]
    at = 0
    for _ in range(_MAX_ATOMS):
        while ends and at + 8 > ends[-1]:
            at = ends.pop()
        if not ends:
            return
        head = peek(file, at, 16)
        length, name, start = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if length == 1:
            length, start = int.from_bytes(head[8:], "big"), at + 16
        end = min(at + length, ends[-1]) if length else ends[-1]
        if len(head) < 8 or end < start:
            at = ends.pop()
            continue
        yield name, start, end
        if name in _PARENTS and len(ends) < _MAX_DEPTH:
            ends.append(end)
            at = start + (4 if name == b"meta" else 0)
        else:
            at = end
    raise ClaimsTooMuchError
