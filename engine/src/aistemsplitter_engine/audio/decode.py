"""Decoding packets into frames."""

from __future__ import annotations  # PyAV's Packet is generic only to type checkers

from collections.abc import Iterator

import av
from av import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from aistemsplitter_engine.audio.frames import kept
from aistemsplitter_engine.audio.tags import Pictures, is_picture


def decoded(
    container: InputContainer, stream: AudioStream, pictures: Pictures
) -> Iterator[AudioFrame | str]:
    """Yield the frames of a stream, and a reason in place of each packet that cannot be decoded.

    The pictures of the file, which precede the audio, are appended to ``pictures``.
    """
    beside = [other for other in container.streams if is_picture(other)]
    packets = container.demux(stream, *beside)
    while True:
        packet = None
        try:
            packet = next(packets, None)
            if packet is None:
                return
            if is_picture(packet.stream):
                pictures.append(packet)
                continue
            # All are made safe before one is yielded: the caller may not request the others.
            frames = [kept(frame) for frame in packet.decode() if isinstance(frame, AudioFrame)]
        except av.FFmpegError as error:
            if packet is None or not _is_tag(packet):
                yield _reason(error)
        except OSError as error:
            yield error.strerror or "cannot be read"
        else:
            yield from (frame for frame in frames if frame.samples)


def _is_tag(packet: Packet[Stream]) -> bool:
    """Return whether a packet is a tag between two concatenated MP3s, which is not damage."""
    return bytes(packet).startswith((b"ID3", b"TAG", b"APETAGEX"))


def _reason(error: av.FFmpegError) -> str:
    if isinstance(error, av.error.PatchWelcomeError) or not error.strerror:
        return "it cannot be decoded"  # FFmpeg says "Not yet implemented"
    return error.strerror[0].lower() + error.strerror[1:]


def with_lengths(
    frames: Iterator[AudioFrame | str], ends_within: bool
) -> Iterator[tuple[AudioFrame | str, int]]:
    """Yield each frame with the number of its samples that are not padding.

    With ``ends_within``, the last frame may contain padding: MP4 marks it only by the duration of
    the last packet, which FFmpeg does not apply.
    """
    held: AudioFrame | None = None
    for frame in frames:
        if held is not None:
            yield held, held.samples
            held = None
        if ends_within and isinstance(frame, AudioFrame):
            held = frame
        else:
            yield frame, 0 if isinstance(frame, str) else frame.samples
    if held is not None:
        length = held.samples
        unit = held.time_base
        if held.duration and unit and unit * held.sample_rate <= 2:  # not rounded to ms
            length = min(length, round(held.duration * unit * held.sample_rate))
        yield held, length
