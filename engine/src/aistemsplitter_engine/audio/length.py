"""The length that a file states, to recognise truncated files."""

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from aistemsplitter_engine.audio.chunks import data_frames
from aistemsplitter_engine.audio.id3 import tags_end
from aistemsplitter_engine.audio.ogg import last_position
from aistemsplitter_engine.audio.peek import peek
from aistemsplitter_engine.audio.tags import is_picture


@dataclass(frozen=True)
class Length:
    """A stated length.

    Attributes:
        frames: Length at the stream's sample rate, without the encoder's delay and padding.
        exact: Whether complete files are never shorter. Some recorders leave gaps, or round up.
        slack: Frames by which complete files may be shorter all the same.
    """

    frames: int
    exact: bool = True
    slack: int = 0


_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MP3_SLACK = 2  # MP3 frames: some encoders count the one that holds the count, or the padding


def stated_length(
    container: InputContainer,
    stream: AudioStream,
    file: BinaryIO,
    sample_rate: int,
    start: Fraction,
) -> Length | None:
    """Return the length that the container states, or None if it states none.

    FFmpeg estimates a length from the bit rate if a file states none, so only fields that a
    container is known to have are used. ``start`` is the clock's at the first frame.
    """
    kind = container.format.name
    codec = stream.codec_context
    if kind == "mp3":
        return _length_of_mp3(file)
    if kind == "asf":
        return _length_of_asf(file, sample_rate, start)
    if codec.name == "flac" and kind == "flac":
        # STREAMINFO: 36 bits; 0 when it was written to a pipe.
        total = int.from_bytes((codec.extradata or b"")[13:18], "big") & (1 << 36) - 1
        return Length(total) if total else None
    if kind in ("wav", "w64", "caf") and codec.name.startswith("pcm_"):
        promised = data_frames(kind, file)
        return None if promised is None else Length(promised)
    if kind == "matroska,webm":
        alone = all(other.index == stream.index or is_picture(other) for other in container.streams)
        seconds = Fraction(container.duration or 0, av.time_base) - start if alone else 0
        return _measured(seconds, sample_rate, sample_rate // 2, exact=False)
    slack = sample_rate // 10  # clocks are coarse, and packets are not cut
    if kind == "ogg" and (end := last_position(file, stream.index)) is not None:
        return _measured(Fraction(end, sample_rate) - start, sample_rate, slack)
    if not stream.duration or stream.time_base is None:
        return None
    seconds = stream.duration * stream.time_base - start
    if kind == "aiff" and codec.name.startswith("pcm_"):
        return _measured(seconds, sample_rate, 0)
    if kind in ("wav", "aiff", "caf", "ogg") or kind.startswith("mov"):
        return _measured(seconds, sample_rate, slack)
    return None


def _measured(
    seconds: Fraction | int, sample_rate: int, slack: int, *, exact: bool = True
) -> Length | None:
    return Length(round(seconds * sample_rate), exact, slack) if seconds > 0 else None


def _length_of_asf(file: BinaryIO, sample_rate: int, start: Fraction) -> Length | None:
    """Return the play time in the header, which FFmpeg replaces by an estimate in short files."""
    header = peek(file, 0, 1 << 16)
    at = header.find(_ASF_FILE_PROPERTIES)
    fields = header[at + 64 : at + 92]
    if at < 0 or len(fields) < 28:
        return None
    duration, _, preroll, flags = struct.unpack("<QQQI", fields)  # 100 ns, and ms
    if flags & 1:  # a broadcast of unknown length
        return None
    seconds = Fraction(duration, 10**7) - Fraction(preroll, 1000) - start
    return _measured(seconds, sample_rate, sample_rate, exact=False)


def _length_of_mp3(file: BinaryIO) -> Length | None:
    """Return the length in the Xing, Info or VBRI tag in the first MP3 frame."""
    data = peek(file, tags_end(file), 1 << 16)
    for at in range(len(data) - 4):
        if data[at] == 0xFF and data[at + 1] & 0xE6 == 0xE2:  # the sync of a layer III frame
            return _length_in_frame(data[at:])
    return None


def _length_in_frame(frame: bytes) -> Length | None:
    mpeg1 = frame[1] & 0x18 == 0x18
    mono = frame[3] & 0xC0 == 0xC0
    size = 1152 if mpeg1 else 576
    side_information = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    tag = frame[4 + side_information :]
    slack = _MP3_SLACK * size
    if frame[36:40] == b"VBRI":
        return Length(int.from_bytes(frame[50:54], "big") * size, slack=slack)
    if tag[:4] not in (b"Xing", b"Info") or len(tag) < 12 or not tag[7] & 1:
        return None
    count = int.from_bytes(tag[8:12], "big")
    optional = (4 if tag[7] & 2 else 0) + (100 if tag[7] & 4 else 0) + (4 if tag[7] & 8 else 0)
    encoder = tag[12 + optional :]
    trim = 0
    if encoder[:4] in (b"LAME", b"Lavf", b"Lavc"):  # those whose delay and padding FFmpeg trims
        delays = int.from_bytes(encoder[21:24], "big")
        trim = (delays >> 12) + (delays & 0xFFF)
    return Length(max(0, count * size - trim), slack=slack) if count else None
