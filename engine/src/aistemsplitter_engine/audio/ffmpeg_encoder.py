"""Encoding with FFmpeg."""

from __future__ import annotations  # PyAV's Packet is generic only to type checkers

import io
import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import IO, Any

import av
import numpy as np
from av import AudioFrame, Packet
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition, Stream
from numpy.typing import NDArray

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import interleaved
from aistemsplitter_engine.audio.output_file import OutputFile
from aistemsplitter_engine.audio.picture import dimensions, picture_block
from aistemsplitter_engine.audio.tags import Cover
from aistemsplitter_engine.audio.wav_file import integers
from aistemsplitter_engine.formats import OutputFormat

# Format and bit depth: FFmpeg's container, encoder and sample format.
_ENCODERS = {
    ("wav", 16): ("wav", "pcm_s16le", "s16"),
    ("wav", 24): ("wav", "pcm_s24le", "s32"),
    ("wav", 32): ("wav", "pcm_f32le", "flt"),
    ("flac", 16): ("flac", "flac", "s16"),
    ("flac", 24): ("flac", "flac", "s32"),
    ("mp3", None): ("mp3", "libmp3lame", "fltp"),
    ("opus", None): ("opus", "libopus", "flt"),
    ("m4a", None): ("mp4", "aac", "fltp"),
    ("aiff", 16): ("aiff", "pcm_s16be", "s16"),
    ("aiff", 24): ("aiff", "pcm_s24be", "s32"),
    ("alac", 16): ("mp4", "alac", "s16p"),
    ("alac", 24): ("mp4", "alac", "s32p"),
}
_WITH_PICTURE = ("flac", "mp3", "m4a", "alac")  # as a stream; Opus has it as a tag
# Chosen for the smallest error, since stems are mixed again. LAME's noise shaping and AAC's noise
# substitution and intensity stereo take more time and do not sound better.
_ENCODER_OPTIONS = {
    "flac24": {"bits_per_raw_sample": "24"},
    "alac24": {"bits_per_raw_sample": "24"},
    "mp3": {"compression_level": "7"},
    "m4a": {"aac_coder": "fast", "aac_pns": "0", "aac_is": "0"},
}
_PICTURE_CODECS = {"image/jpeg": "mjpeg", "image/png": "png"}


class FFmpegEncoder:
    """An encoder of FFmpeg, and the container that its packets are written to.

    Args:
        file: File to write to.
        output: Format of the file.
        sample_rate: Sample rate of the blocks in Hz.
        channels: Channels of the blocks.
        tags: Texts by name.
        cover: Cover picture that the format's players can read, or None.
    """

    def __init__(
        self,
        file: OutputFile,
        output: OutputFormat,
        sample_rate: int,
        channels: int,
        tags: Mapping[str, str],
        cover: Cover | None,
    ) -> None:
        self._file, self._output, self._rate = file, output, sample_rate
        self._layout = "mono" if channels == 1 else "stereo"
        self._frames = 0
        if cover is not None and output.name == "opus":
            tags = {**tags, "METADATA_BLOCK_PICTURE": picture_block(cover)}
        with file.explained():
            self._container, self._stream = _open(file, output, sample_rate, channels, tags)
            self._sample_format = self._stream.codec_context.format.name
            if cover is not None and output.name in _WITH_PICTURE:
                self._add_picture(cover)
            else:
                self._container.start_encoding()

    def write(self, block: FloatArray) -> None:
        """Encode a (channels, n) block."""
        self._encode(self._frame(block))
        self._frames += block.shape[1]

    def finish(self) -> None:
        """Encode what FFmpeg still holds, and complete the container."""
        self._encode(None)
        with self._file.explained():
            self._container.close()

    def _add_picture(self, cover: Cover) -> None:
        width, height = dimensions(cover)
        stream = self._container.add_mux_stream(
            _PICTURE_CODECS[cover.mime], width=width, height=height
        )
        stream.disposition = Disposition.attached_pic
        stream.time_base = Fraction(1, 90_000)
        packet = Packet(cover.data)
        packet.stream = stream
        packet.pts = packet.dts = 0
        self._container.mux_one(packet)

    def _frame(self, block: FloatArray) -> AudioFrame:
        samples = self._converted(block)
        planar = self._sample_format.endswith("p")
        packed = samples if planar else interleaved(samples).reshape(1, -1)
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(packed), format=self._sample_format, layout=self._layout
        )
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._frames
        return frame

    def _converted(self, block: FloatArray) -> NDArray[Any]:
        if self._sample_format in ("s16", "s16p"):
            return integers(block, 15).astype(np.int16)
        if self._sample_format in ("s32", "s32p"):
            return integers(block, 23).astype(np.int32) << 8
        return block

    def _encode(self, frame: AudioFrame | None) -> None:
        with self._file.explained():
            packets = self._stream.encode(frame)
            if frame is None and self._output.name == "mp3":
                _state_whole_padding(packets)
            self._container.mux(packets)


def wav_header(
    output: OutputFormat, sample_rate: int, channels: int, tags: Mapping[str, str]
) -> bytes:
    """Return the header of an empty WAV, which has room for the lengths of an RF64."""
    file = io.BytesIO()
    container, _ = _open(file, output, sample_rate, channels, tags)
    container.start_encoding()
    container.close()
    return file.getvalue()


def _open(
    file: OutputFile | IO[bytes],
    output: OutputFormat,
    sample_rate: int,
    channels: int,
    tags: Mapping[str, str],
) -> tuple[OutputContainer, AudioStream]:
    """Open a container with a stream that is not encoded yet."""
    format_, codec, sample_format = _ENCODERS[output.name, output.bit_depth]
    options = {"fflags": "+bitexact"}  # no dates or versions, for reproducible files
    if format_ == "wav":
        options["rf64"] = "auto"  # past 4 GiB
    if format_ == "aiff":
        options["write_id3v2"] = "1"  # AIFF's own chunks have few tags
    if format_ == "mp4":
        options["brand"] = "M4A "  # FFmpeg's muxer for M4A supports no pictures
        options["movie_timescale"] = str(sample_rate)  # lengths are rounded to its ticks
    container = av.open(file, "w", format=format_, container_options=options)
    stream = container.add_stream(codec, rate=sample_rate)
    assert isinstance(stream, AudioStream)
    codec_context = stream.codec_context
    codec_context.format = sample_format
    codec_context.layout = "mono" if channels == 1 else "stereo"
    codec_context.time_base = Fraction(1, sample_rate)
    if (bit_rate := output.bits_per_second(channels)) is not None:
        codec_context.bit_rate = bit_rate
    codec_context.options = _ENCODER_OPTIONS.get(f"{output.name}{output.bit_depth or ''}", {})
    container.metadata.update(tags)
    return container, stream


def _state_whole_padding(packets: list[Packet[Stream]]) -> None:
    """Set the padding of an MP3's last packet to that of all packets.

    FFmpeg writes only the last one's into the gapless tag, which is wrong if the padding spans
    several packets.
    """
    padding = 0
    for packet in packets:
        if packet.has_sidedata("skip_samples"):
            sides = packet.get_sidedata("skip_samples")
            start, end, *reasons = struct.unpack("<IIBB", bytes(sides))
            padding += end
            sides.update(struct.pack("<IIBB", start, padding, *reasons))
            packet.set_sidedata(sides)
