"""Encoding a stem into a file, block by block."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import BLOCK_FRAMES
from aistemsplitter_engine.audio.ffmpeg_encoder import FFmpegEncoder, wav_header
from aistemsplitter_engine.audio.output_file import OutputFile
from aistemsplitter_engine.audio.picture import is_usable
from aistemsplitter_engine.audio.tags import Cover
from aistemsplitter_engine.audio.wav_file import WavFile
from aistemsplitter_engine.errors import OptionError, OutputError
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_engine.messages import printable


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
        cover: Cover picture, omitted unless it is a readable JPEG or PNG of up to 10 MB, and in
            WAV and AIFF.
        frames: Number of frames that will be written, if known; ``close`` checks it.

    Raises:
        OptionError: The format does not have this rate, length or number of channels.
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
        if frames is not None:
            output.check_length(frames, channels)
        if channels not in (1, 2):
            raise OptionError(f"stems have 1 or 2 channels, not {channels}")
        self.path = Path(path)
        self.frames_written = 0
        self._expected = frames
        self._channels = channels
        self._file = OutputFile(self.path)
        self._encoder: FFmpegEncoder | WavFile
        try:
            if output.name == "wav":
                with self._file.explained():
                    header = wav_header(output, sample_rate, channels, tags or {})
                self._encoder = WavFile(self._file, header, output.bit_depth or 16, channels)
            else:
                cover = cover if cover and is_usable(cover) else None
                self._encoder = FFmpegEncoder(
                    self._file, output, sample_rate, channels, tags or {}, cover
                )
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
                self._encoder.write(block[:, start : start + BLOCK_FRAMES])
            self.frames_written += block.shape[1]
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
            self._encoder.finish()
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
