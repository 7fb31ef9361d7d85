"""Encoding a stem into a file, block by block."""

from __future__ import annotations  # PyAV's Packet is generic only to type checkers

import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av import AudioFrame, Packet
from av.audio.stream import AudioStream
from av.stream import Disposition, Stream
from numpy.typing import NDArray

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import BLOCK_FRAMES, interleaved
from aistemsplitter_engine.audio.output_file import OutputFile
from aistemsplitter_engine.audio.picture import dimensions, is_usable, picture_block
from aistemsplitter_engine.audio.tags import Cover
from aistemsplitter_engine.errors import OptionError, OutputError
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_engine.messages import printable

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
}
# Chosen for the smallest error, since stems are mixed again. LAME's noise shaping and AAC's noise
# substitution and intensity stereo take more time and do not sound better.
_ENCODER_OPTIONS = {
    "flac24": {"bits_per_raw_sample": "24"},
    "mp3": {"compression_level": "7"},
    "m4a": {"aac_coder": "fast", "aac_pns": "0", "aac_is": "0"},
}
_PICTURE_CODECS = {"image/jpeg": "mjpeg", "image/png": "png"}


class StemWriter:
    """Writes one stem to a path.

    A context manager: leaving it completes the file, an exception deletes it. MP3, AAC and Opus
    files state the encoder's delay and padding, so decoders return exactly the samples that were
    written, without an offset. A WAV of more than 4 GiB becomes an RF64.

    Args:
        path: Path of the file, which is created or overwritten.
        output: Format of the file.
        sample_rate: Sample rate of the blocks in Hz; one that ``output.sample_rate`` returns.
        channels: Channels of the blocks, 1 or 2.
        tags: Texts by name. WAV and M4A keep only common tags.
        cover: Cover picture, omitted unless it is a readable JPEG or PNG of up to 10 MB; WAV has
            no place for it.
        frames: Number of frames that will be written, if known; ``close`` checks it.

    Raises:
        OptionError: The format does not have this rate or number of channels.
        OutputError: The file cannot be created or written, such as on a full disk.
    """

    def __init__(
        self,
        path: str | Path,
        output: OutputFormat,
        sample_rate: int,
        channels: int,
        *,
        tags: Mapping[str, str] | None = None,
        cover: Cover | None = None,
        frames: int | None = None,
    ) -> None:
        if output.sample_rate(sample_rate) != sample_rate:
            raise OptionError(
                f"{output.name} does not support a sample rate of {sample_rate} Hz;"
                f" {output.sample_rate(sample_rate)} Hz is the nearest"
            )
        if channels not in (1, 2):
            raise OptionError(f"stems have 1 or 2 channels, not {channels}")
        self.path = Path(path)
        self.frames_written = 0
        self._expected = frames
        self._output = output
        self._channels = channels
        self._rate = sample_rate
        self._file = OutputFile(self.path)
        try:
            self._open(dict(tags or {}), cover if cover and is_usable(cover) else None)
        except BaseException:
            self.abort()
            raise

    def write(self, block: FloatArray) -> None:
        """Append a (channels, n) block; full scale is at -1 and 1.

        Integer formats round to the nearest step, without dither, and clip at full scale; floating
        point does not.

        Raises:
            OutputError: The file cannot be written.
        """
        if block.ndim != 2 or block.shape[0] != self._channels:
            raise ValueError(
                f"a block of {self._channels} channels cannot have the shape {block.shape}"
            )
        try:
            for start in range(0, block.shape[1], BLOCK_FRAMES):
                self._encode(self._frame(block[:, start : start + BLOCK_FRAMES]))
        except BaseException:
            self.abort()
            raise

    def close(self) -> None:
        """Complete the file. Does nothing after ``close`` or ``abort``.

        Raises:
            OutputError: the file cannot be written, or has not as many frames as were announced;
                it is removed.
        """
        if self._file.closed:
            return
        try:
            if self._expected not in (None, self.frames_written):
                raise OutputError(
                    f"{printable(self.path)}: received {self.frames_written} of"
                    f" {self._expected} samples"
                )
            self._encode(None)
            with self._file.explained():
                self._container.close()
            with self._file.explained():
                self._file.close()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Remove the file. Does nothing after ``close`` or ``abort``."""
        # The file first: a container whose file is closed does not complete it.
        self._file.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _open(self, tags: dict[str, str], cover: Cover | None) -> None:
        output = self._output
        container, codec, self._sample_format = _ENCODERS[output.name, output.bit_depth]
        options = {"fflags": "+bitexact"}  # no dates or versions, for reproducible files
        if container == "wav":
            options["rf64"] = "auto"  # past 4 GiB
        if container == "mp4":
            options["brand"] = "M4A "  # FFmpeg's muxer for M4A supports no pictures
            options["movie_timescale"] = str(self._rate)  # lengths are rounded to its ticks
        with self._file.explained():
            self._container = av.open(self._file, "w", format=container, container_options=options)
            stream = self._container.add_stream(codec, rate=self._rate)
            assert isinstance(stream, AudioStream)
            self._stream = stream
            stream.codec_context.format = self._sample_format
            stream.codec_context.layout = "mono" if self._channels == 1 else "stereo"
            stream.codec_context.time_base = Fraction(1, self._rate)
            if (bit_rate := output.bits_per_second(self._channels)) is not None:
                stream.codec_context.bit_rate = bit_rate
            stream.codec_context.options = _ENCODER_OPTIONS.get(
                f"{output.name}{output.bit_depth or ''}", {}
            )
            if cover is not None and output.name == "opus":
                tags["METADATA_BLOCK_PICTURE"] = picture_block(cover)
            self._container.metadata.update(tags)
            if cover is not None and output.name in ("flac", "mp3", "m4a"):
                self._add_picture(cover)
            else:
                self._container.start_encoding()

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
            np.ascontiguousarray(packed),
            format=self._sample_format,
            layout="mono" if self._channels == 1 else "stereo",
        )
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self.frames_written
        self.frames_written += block.shape[1]
        return frame

    def _converted(self, block: FloatArray) -> NDArray[Any]:
        if self._sample_format == "s16":
            return integers(block, 15).astype(np.int16)
        if self._sample_format == "s32":
            return integers(block, 23).astype(np.int32) << 8
        return block

    def _encode(self, frame: AudioFrame | None) -> None:
        with self._file.explained():
            packets = self._stream.encode(frame)
            if frame is None and self._output.name == "mp3":
                _state_whole_padding(packets)
            self._container.mux(packets)


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


def integers(block: FloatArray, bits: int) -> FloatArray:
    """Return samples as integers of ``bits`` bits and a sign, rounded and clipped."""
    full = np.float32(2**bits)
    steps: FloatArray = np.clip(np.rint(block * full), -full, full - 1)
    return steps
