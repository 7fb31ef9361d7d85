"""Tags and cover pictures, which stems take over from their song."""

from __future__ import annotations  # PyAV's Packet is generic only to type checkers

from dataclasses import dataclass
from typing import TYPE_CHECKING

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

MAX_COVER = 10_000_000  # bytes
MAX_TAGS = 200
MAX_TAG = 50_000  # characters; lyrics fit

if TYPE_CHECKING:
    Pictures = list[Packet[Stream]]
else:
    Pictures = list

# Tags about the file itself, which are wrong in other files.
_TECHNICAL = {
    "encoder", "encoded_by", "encoding", "encoder_options", "encodersettings", "creation_time",
    "major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id",
    "duration", "bps", "number_of_frames", "number_of_bytes", "itunsmpb", "itunnorm", "tlen",
    "metadata_block_picture", "coverart", "cuesheet", "time_reference", "umid", "coding_history",
    "wm/encodingtime", "isvbr", "devicconformancetemplate", "deviceconformancetemplate",
    "accurip", "accuraterip", "filename", "mimetype",
}  # fmt: skip
_TECHNICAL_PREFIXES = (
    "replaygain_",
    "r128_",
    "_statistics",
    "itunes_",
    "mp3gain_",
    "wmfsdk",
    "id3v2_priv",
)


@dataclass(frozen=True)
class Cover:
    """A picture: its type, ``image/jpeg`` or ``image/png``, and its file's bytes."""

    mime: str
    data: bytes


def read_tags(container: InputContainer, stream: AudioStream) -> dict[str, str]:
    """Return the tags of the file and its audio stream, without those about the file itself."""
    tags: dict[str, str] = {}
    for key, value in {**container.metadata, **stream.metadata}.items():
        name = key.lower()
        technical = name in _TECHNICAL or name.startswith(_TECHNICAL_PREFIXES)
        text = value.replace("\0", " ").strip()
        if not technical and text and len(key) <= 100 and len(text) <= MAX_TAG:
            tags[key] = text
        if len(tags) == MAX_TAGS:
            break
    tags.pop("language", None)
    return tags


def is_picture(stream: Stream) -> bool:
    """Return whether the stream is a picture attached to the file."""
    return isinstance(stream, VideoStream) and bool(stream.disposition & Disposition.attached_pic)
