"""Decoding an audio file."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio._types import BLOCK_FRAMES, clock
from aistemsplitter_engine.audio.clock import GAP, ClockDrift, read_clock
from aistemsplitter_engine.audio.container import open_audio, open_file
from aistemsplitter_engine.audio.decode import decoded, with_lengths
from aistemsplitter_engine.audio.downmix import fold, fold_matrix
from aistemsplitter_engine.audio.frames import positions_of, samples_of
from aistemsplitter_engine.audio.length import stated_length
from aistemsplitter_engine.audio.ogg import lacks_end
from aistemsplitter_engine.audio.picture import read_cover
from aistemsplitter_engine.audio.streams import passed_over
from aistemsplitter_engine.audio.tags import Pictures, read_tags
from aistemsplitter_engine.errors import AudioError
from aistemsplitter_engine.messages import printable

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz


class AudioFile:
    """An audio file, in any container and codec that FFmpeg's audio decoders read.

    Opening it reads the header and decodes the first samples. ``blocks`` reads the file again each
    time, so several readers may read it at once.

    Args:
        path: Path of the file.
        descriptor: Descriptor of the file, if it is open already and the path is only its name. It
            is not closed, and supports one reader at a time.

    Attributes:
        name: The path, in printable characters.
        sample_rate: Sample rate in Hz.
        channels: Number of channels before downmixing; 1 is mono.
        frames: Number of frames that the container states, None if it does not state them exactly.
            The true number is known after reading to the end.
        duration: Stated or estimated length in seconds, for display; None if unknown.
        container, codec: Names of the container and the codec in FFmpeg.
        tags: Texts by name (title, artist, album ...), without those about the file itself.
        cover: Cover picture, or None.
        warnings: Warnings for the user, such as about samples that are not numbers; more may follow
            while the file is read.

    Raises:
        AudioError: The file cannot be opened, is not audio, or is not supported.
    """

    def __init__(self, path: str | Path, descriptor: int | None = None) -> None:
        self.path = Path(path)
        self._descriptor = descriptor
        self.name = printable(path)
        self.warnings: list[str] = []
        self._rank = 0  # of the stream that is read; see open_audio
        failure: AudioError | None = None
        while not hasattr(self, "sample_rate"):
            with open_file(self.path, self._descriptor) as file:
                container, stream, has_next = open_audio(self.path, file, self._rank)
                with container:
                    pictures: Pictures = []
                    try:
                        first = self._first_frame(decoded(container, stream, pictures))
                        self._describe(container, stream, file, first)
                    except AudioError as error:
                        failure = failure or error
                        if not has_next:
                            raise failure from None
                        self._rank += 1
                        continue
                    self.cover, warning = read_cover(pictures)
                    self._warn(passed_over(container, stream))
                    self._warn(warning)

    def _describe(
        self, container: InputContainer, stream: AudioStream, file: BinaryIO, first: AudioFrame
    ) -> None:
        """Set the attributes that follow from the header and the first frame."""
        positions = positions_of(first)
        self._matrix(positions)
        self.container = container.format.name
        self.codec = stream.codec_context.name
        self.tags = read_tags(container, stream)
        self.channels = len(positions)
        rate = first.sample_rate
        self._clock = read_clock(container, stream, file, first)
        self._length = length = stated_length(container, stream, file, rate, self._clock.start)
        self.frames = length.frames if length and length.exact and not length.slack else None
        seconds = _duration(container, stream)
        if length is not None:
            self.duration: float | None = length.frames / rate
        else:
            self.duration = None if seconds is None else float(seconds - self._clock.start)
        if self.container == "ogg" and lacks_end(file):
            self._warn("the last Ogg page is not marked as the last: the file may be truncated")
        self.sample_rate = rate

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the song as (2, n) blocks, n at most ``BLOCK_FRAMES``; mono is on both channels.

        More than two channels are downmixed. Samples that are not numbers become silence, with a
        warning.

        Raises:
            AudioError: The file is damaged or truncated; the message says where.
        """
        with open_file(self.path, self._descriptor) as file:
            container, stream, _ = open_audio(self.path, file, self._rank)
            with container:
                yield from _rebuffered(self._stereo(decoded(container, stream, [])))

    def _stereo(self, frames: Iterator[AudioFrame | str]) -> Iterator[FloatArray]:
        """Yield each frame as (2, n), and check the length at the end."""
        read = bad = 0
        damage = ""
        drift = ClockDrift(self.container, self._clock)
        for frame, length in with_lengths(frames, ends_within=self.container.startswith("mov")):
            if isinstance(frame, str):
                damage = damage or frame
                continue
            if damage and (read or not self._resynchronises):
                raise self._damaged(read, damage)
            damage = ""
            missing = drift.of(frame, read)
            if missing > GAP:
                raise self._damaged(read, f"{missing:.2f} s are missing")
            if frame.sample_rate != self.sample_rate:
                raise AudioError(
                    f"{self.name}: changes its sample rate from {self.sample_rate} to"
                    f" {frame.sample_rate} Hz at {clock(read, self.sample_rate)};"
                    " convert it to one rate first"
                )
            positions = positions_of(frame)
            matrix = self._matrix(positions)
            try:
                samples, wrong = samples_of(frame, len(positions))
            except ValueError as error:
                raise AudioError(
                    f"{self.name}: has {error}, which is not supported; convert it to a stereo WAV"
                ) from error
            bad += wrong
            read += length
            yield fold(samples[:, :length], matrix)
        self._check_end(read, damage)
        if bad:
            were = "1 sample that is NaN or infinite was"
            if bad > 1:
                were = f"{bad} samples that are NaN or infinite were"
            self._warn(f"{were} replaced by silence")

    @property
    def _resynchronises(self) -> bool:
        """True if junk before and after the audio is common and skipped by all players."""
        return self.container in ("mp3", "aac")

    def _first_frame(self, frames: Iterator[AudioFrame | str]) -> AudioFrame:
        damage = ""
        for frame in frames:
            if isinstance(frame, AudioFrame):
                if not MIN_RATE <= frame.sample_rate <= MAX_RATE:
                    raise AudioError(
                        f"{self.name}: has a sample rate of {frame.sample_rate} Hz; from"
                        f" {MIN_RATE} to {MAX_RATE} Hz are supported"
                    )
                return frame
            damage = damage or frame
        if damage:
            raise self._damaged(0, damage)
        raise AudioError(f"{self.name}: holds no audio (0 samples)")

    def _matrix(self, positions: tuple[str, ...]) -> FloatArray:
        matrix = fold_matrix(positions)
        if matrix is None:
            raise AudioError(
                f"{self.name}: has {len(positions)} channels and does not say which loudspeaker"
                " each is for; mix it down to stereo first"
            )
        return matrix

    def _check_end(self, read: int, damage: str) -> None:
        """Raise or warn if fewer frames were read than the file states."""
        stated = self._length
        if stated is not None and read < stated.frames - stated.slack:
            readable, whole = (
                f"{frames / self.sample_rate:.3f} s" for frames in (read, stated.frames)
            )
            if stated.exact or damage:
                raise AudioError(
                    f"{self.name}: is truncated: {readable} of {whole} are readable;"
                    " get a complete copy, or cut it to that length"
                )
            self._warn(f"only {readable} of the {whole} that the file states could be read")
        elif damage and not self._resynchronises:
            raise self._damaged(read, damage)
        if read == 0:
            raise AudioError(f"{self.name}: holds no audio (0 samples)")

    def _damaged(self, read: int, reason: str) -> AudioError:
        rate = getattr(self, "sample_rate", 1)
        return AudioError(
            f"{self.name}: is damaged at {clock(read, rate)}: {reason}; get an intact copy"
        )

    def _warn(self, text: str | None) -> None:
        if text and text not in self.warnings:  # a second pass finds the same
            self.warnings.append(text)


def _rebuffered(parts: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Merge and split parts into blocks of ``BLOCK_FRAMES``."""
    waiting: list[FloatArray] = []
    count = 0
    for part in parts:
        for start in range(0, part.shape[1], BLOCK_FRAMES):
            piece = part[:, start : start + BLOCK_FRAMES]
            room = BLOCK_FRAMES - count
            waiting.append(piece[:, :room])
            count += waiting[-1].shape[1]
            if count == BLOCK_FRAMES:
                yield np.concatenate(waiting, axis=1)
                waiting = [piece[:, room:]]
                count = waiting[0].shape[1]
    if count:
        yield np.concatenate(waiting, axis=1)


def _duration(container: InputContainer, stream: AudioStream) -> Fraction | None:
    """Return FFmpeg's estimate of when the stream ends, in seconds on its clock."""
    if stream.duration and stream.time_base is not None:
        return stream.duration * stream.time_base
    return Fraction(container.duration, av.time_base) if container.duration else None
