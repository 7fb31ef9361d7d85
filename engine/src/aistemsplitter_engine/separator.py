"""The engine's main class: a model and the options to use it with."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np

from aistemsplitter_engine import __version__
from aistemsplitter_engine.errors import AudioError, ModelError, OptionError, SeparatorClosed
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_engine.messages import printable
from aistemsplitter_engine.options import (
    DEFAULT_MODEL,
    Clip,
    Device,
    FormatName,
    Normalize,
    Precision,
    SplitOptions,
    number,
    whole_number,
)
from aistemsplitter_engine.pipeline.export import Export, checked_sample_rate
from aistemsplitter_engine.pipeline.opening import open_separation
from aistemsplitter_engine.pipeline.separation import resampled
from aistemsplitter_engine.pipeline.songs import SongOutcome, SongProgress, split_songs
from aistemsplitter_engine.pipeline.stems import Block, Separated, joined

if TYPE_CHECKING:
    from aistemsplitter_engine.audio import Source
    from aistemsplitter_engine.pipeline.track import Progress, Song
    from aistemsplitter_engine.pipeline.write import SplitResult


class Separator:
    """Splits songs into stems with one model, which is loaded for the first song and then kept.

    Threads may share a separator and split different songs with it. As a context manager, it is
    closed at the end.

    Args:
        model: ``htdemucs_ft``, ``htdemucs``, ``htdemucs_6s``, ``htdemucs_tiny`` (for
            demonstration), ``kim_vocals``, ``best`` (vocals by ``kim_vocals``, the rest by
            ``htdemucs_ft``), an alias (``4s``, ``6s``), a name registered with
            :func:`add_model`, or the path of a checkpoint: of an HTDemucs, a Mel-Band RoFormer or
            a BS-RoFormer.
        config: Path of the YAML file of a RoFormer's checkpoint.
        device: ``auto`` (a GPU if PyTorch finds one, else the CPU), ``cpu``, ``cuda``, ``mps``, or
            one of several CUDA GPUs, such as ``cuda:1``.
        precision: ``auto`` uses bf16 if the device supports it, else float32.
        shifts: Number of times that a song is separated, each time shifted by another offset, to
            average the estimates. 0 separates it once, without an offset. HTDemucs only.
        seed: Seed of the offsets; the same seed gives the same stems, and those of Demucs.
        overlap: Overlap of adjacent segments, 0 to 0.99. By default 0.25 for HTDemucs, and what
            its config recommends for a RoFormer.
        batch_size: Segments computed at once; by default 1 on the CPU, 8 on Metal, and up to 16
            on CUDA, as the GPU's free memory permits. If a batch does not fit, it is halved.
        download: Download and install the model's weights if they are not on this machine. Their
            licence is in :func:`list_models`.
        on_download: Called with the bytes done and the bytes in total during a download.

    Raises:
        OptionError: An option is invalid or not supported on this machine.
        ModelError: There is no such model, or it is damaged.
        ModelNotInstalled: The model's weights are not on this machine, without ``download``.
        DownloadError: The weights cannot be downloaded or stored.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        config: str | os.PathLike[str] | None = None,
        device: Device = "auto",
        precision: Precision = "auto",
        shifts: int = 0,
        seed: int | None = None,
        overlap: float | None = None,
        batch_size: int | None = None,
        download: bool = False,
        on_download: Callable[[int, int], None] | None = None,
    ) -> None:
        shifts = whole_number("shifts", shifts)
        if not 0 <= shifts <= 100:
            raise OptionError(f"shifts {shifts} is not between 0 and 100")
        overlap = None if overlap is None else number("overlap", overlap)
        if overlap is not None and not 0 <= overlap <= 0.99:
            raise OptionError(f"overlap {overlap:g} is not between 0 and 0.99")
        batch_size = None if batch_size is None else whole_number("batch size", batch_size)
        if batch_size is not None and not 1 <= batch_size <= 1024:
            raise OptionError(f"batch size {batch_size} is not between 1 and 1024")
        seed = None if seed is None else whole_number("seed", seed)
        self._model, self._separation = open_separation(
            __version__,
            model,
            config=config,
            device=device,
            precision=precision,
            shifts=shifts,
            seed=seed,
            overlap=overlap,
            batch_size=batch_size,
            download=download,
            on_download=on_download,
        )
        self._overlap = self._model.overlap if overlap is None else overlap

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._model.name

    @property
    def overlap(self) -> float:
        """Overlap of adjacent segments, as a fraction of a segment.

        Without ``overlap=``, that of a combination's first model; the others have their own.
        """
        return self._overlap

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems that can be requested."""
        return self._model.stems

    def choose(self, stems: Sequence[str] | None) -> tuple[str, ...]:
        """Return the stems to compute, the model's own for None.

        Raises:
            OptionError: The model has no such stem.
        """
        return self._model.choose(stems)

    def warm_up(self, stems: Sequence[str] | None = None) -> None:
        """Load the networks for the stems and run each once, so that no song has to wait for it.

        Raises:
            OptionError: The model has no such stem.
            ModelError: A network cannot be loaded.
        """
        self._model.warm_up(self.choose(stems), self._separation.batch_size)

    def close(self) -> None:
        """Free the networks, with their threads and their memory. Closing again does nothing.

        Songs in progress in other threads are completed; new ones raise :class:`SeparatorClosed`.
        """
        self._model.close()

    def separate(
        self,
        song: Song,
        *,
        stems: Sequence[str] | None = None,
        sample_rate: int | None = None,
        on_progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Generator[Block]:
        """Yield the stems of a song block by block, in memory that does not grow with it.

        The options are checked and the song is opened immediately; the rest happens as blocks are
        requested. Closing the generator ends the separation.

        Args:
            song: A path, or audio in memory as :class:`AudioArray`.
            stems: Names from :attr:`stems`; the model's own by default. No others are computed.
            sample_rate: Sample rate of the blocks in Hz; that of the song by default.
            on_progress: Called with the fraction done, from 0 to 1: after every segment, and with
                an unchanged fraction at least once per 1.5 s of audio in every other phase, so a
                watchdog can rely on it. Called in the caller's own thread.
            cancel: Once set, :class:`Cancelled` is raised before the next segment.

        Raises:
            AudioError: The song cannot be read.
            OptionError: The model has no such stem, or the sample rate is not supported.
            Cancelled: ``cancel`` was set.
        """
        self._model.check_open()
        from aistemsplitter_engine.pipeline.track import Track

        sample_rate = checked_sample_rate(sample_rate)
        track = Track(self._model, song, self.choose(stems), on_progress, cancel)
        return resampled(self._separation, track, sample_rate or track.source.sample_rate)

    def separate_array(
        self,
        audio: Any,
        sample_rate: int,
        *,
        stems: Sequence[str] | None = None,
        on_progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Separated:
        """Return the stems of audio in memory, at its sample rate, as arrays.

        Args:
            audio: NumPy array or PyTorch tensor of (frames,), (1, frames) or (2, frames) in
                floating point, with full scale at -1 and 1.
            sample_rate: Sample rate of the audio in Hz.
            stems, on_progress, cancel: As for :meth:`separate`.

        Raises:
            AudioError: The audio has another shape or type, or no samples.
            OptionError: The model has no such stem.
            Cancelled: ``cancel`` was set.
        """
        from aistemsplitter_engine.audio import AudioArray

        return self._separated(AudioArray(audio, sample_rate), stems, None, on_progress, cancel)

    def separate_file(
        self,
        path: str | os.PathLike[str],
        *,
        stems: Sequence[str] | None = None,
        sample_rate: int | None = None,
        on_progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Separated:
        """Return a song and its stems as arrays, which takes 21 MB a minute for each.

        The file is decoded once. :meth:`separate` and :meth:`split` need less memory.

        Args:
            path: Path of an audio file.
            stems, sample_rate, on_progress, cancel: As for :meth:`separate`.

        Raises:
            AudioError: The song cannot be read.
            OptionError: The model has no such stem, or the sample rate is not supported.
            Cancelled: ``cancel`` was set.
        """
        from aistemsplitter_engine.audio import AudioFile

        return self._separated(AudioFile(Path(path)), stems, sample_rate, on_progress, cancel)

    def split(
        self,
        song: Song,
        folder: str | os.PathLike[str],
        *,
        stems: Sequence[str] | None = None,
        format: FormatName = "wav",
        bit_depth: int | None = None,
        bitrate: int | None = None,
        clip: Clip = "rescale",
        mono: bool = False,
        sample_rate: int | None = None,
        names: Mapping[str, str] | None = None,
        normalize: Normalize = "none",
        resume: bool = False,
        on_progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> SplitResult:
        """Write the stems of a song to ``folder/<stem>.<format>``, replacing existing files.

        The stems appear under their names when all are complete. A run that is killed, cancelled,
        or fails for a temporary reason such as a full disk keeps its work in
        ``folder/.aistemsplitter``, for ``resume``.

        Args:
            song, stems, cancel: As for :meth:`separate`.
            on_progress: As for :meth:`separate`; the fraction is 1 when all files are complete.
            folder: Folder for the stems, created if it does not exist.
            format: ``wav``, ``flac``, ``mp3``, ``opus``, ``m4a``, ``aiff`` or ``alac``.
            bit_depth: 16, 24 or, for wav, 32 (float), in lossless formats; 16 by default.
            bitrate: Bit rate of mp3, opus and m4a in kbit/s; see :class:`OutputFormat`.
            clip: Treatment of stems that exceed full scale, in all formats but float WAV:
                ``rescale`` attenuates all stems by one gain, ``clamp`` clips the peaks, ``none``
                leaves it to the format.
            mono: Mix the stems down to one channel.
            sample_rate: Sample rate of the files in Hz; by default that of the song, or the next
                one that the format supports.
            names: Names of the files by stem, without extension; by default those of the stems.
            normalize: ``mixture-loudness`` multiplies all stems with the one gain that brings the
                song to -14 LUFS (EBU R128, integrated), so that songs are equally loud and stems
                keep their balance. ``clip`` applies after it.
            resume: Continue an unfinished run of the same song, model and options.

        Raises:
            AudioError: The song cannot be read.
            OutputError: The stems cannot be written.
            OptionError: The model has no such stem, or an option is invalid.
            Cancelled: ``cancel`` was set.
        """
        self._model.check_open()
        output = OutputFormat(format, bit_depth, bitrate)
        export = Export(Path(folder), output, clip, mono, sample_rate, names or {}, normalize)
        chosen = self.choose(stems)
        export.check_names(chosen)
        _check_exists(song)  # loading networks takes seconds
        self._model.load(self._model.needed(chosen))
        # They load while FFmpeg is imported and the song is read.
        from aistemsplitter_engine.pipeline.track import Track
        from aistemsplitter_engine.pipeline.write import write_stems

        track = Track(
            self._model,
            song,
            chosen,
            on_progress,
            cancel,
            measures_loudness=export.measures_loudness,
        )
        with closing(track):
            return write_stems(track, self._separation, export, resume=resume)

    def split_many(
        self,
        songs: Iterable[tuple[Song, str | os.PathLike[str]]],
        *,
        jobs: int = 2,
        on_progress: SongProgress | None = None,
        cancel: threading.Event | None = None,
        **options: Unpack[SplitOptions],
    ) -> Generator[SongOutcome]:
        """Split several songs at once; yield how each has ended, as soon as it has.

        While one song is separated, the next one is decoded and the last one encoded. The stems
        are those that :meth:`split` writes. The error of a song does not affect the others. Closing
        the generator, or an exception such as Ctrl-C, stops the songs in progress.

        Args:
            songs: Songs and the folders for their stems, each a different one.
            jobs: Number of songs in progress at once. Each takes memory of its own.
            on_progress: Called with the number of a song, from 0, and the fraction done of it.
                Called in the caller's own thread.
            cancel: Once set, all songs stop and :class:`Cancelled` is raised.
            options: As for :meth:`split`.

        Raises:
            OptionError: The model has no such stem, or an option is invalid.
            ModelError: A network cannot be loaded.
            Cancelled: ``cancel`` was set.
        """
        self._model.check_open()
        if (jobs := whole_number("jobs", jobs)) < 1:
            raise OptionError(f"jobs {jobs} is less than 1")
        runs = (partial(self.split, song, folder, **options) for song, folder in songs)
        return self._outcomes(split_songs(runs, jobs, on_progress, cancel))

    def _outcomes(self, outcomes: Generator[SongOutcome]) -> Generator[SongOutcome]:
        """Yield the outcomes; raise the errors that concern all songs."""
        with closing(outcomes):
            for outcome in outcomes:
                if isinstance(outcome.error, OptionError | ModelError | SeparatorClosed):
                    raise outcome.error
                yield outcome

    def _separated(
        self,
        song: Source,
        stems: Sequence[str] | None,
        sample_rate: int | None,
        on_progress: Progress | None,
        cancel: threading.Event | None,
    ) -> Separated:
        from aistemsplitter_engine.audio import AudioArray, TaggedSource, resample
        from aistemsplitter_engine.pipeline.track import Track

        chosen, rate = self.choose(stems), checked_sample_rate(sample_rate) or song.sample_rate
        self._model.load(self._model.needed(chosen))  # they load while the song is read
        reading = Track(self._model, song, chosen, on_progress, cancel)
        mixture = np.concatenate([*reading.reported(song.blocks())], axis=1)
        audio = AudioArray(mixture, song.sample_rate, song.name)
        with closing(
            self.separate(
                audio, stems=chosen, sample_rate=rate, on_progress=on_progress, cancel=cancel
            )
        ) as blocks:
            separated = joined(blocks)
        frames = separated[chosen[0]].shape[1]
        if rate != song.sample_rate:
            resampled = resample([mixture], song.sample_rate, rate, frames)
            mixture = np.concatenate([*resampled], axis=1)
        warnings = song.warnings if isinstance(song, TaggedSource) else ()
        return Separated(mixture, separated, rate, tuple(warnings))


def _check_exists(song: Song) -> None:
    """Raise AudioError for a path that does not exist, without importing what reads audio."""
    if isinstance(song, str | os.PathLike):
        try:
            Path(song).stat()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise AudioError(f"{printable(Path(song))}: cannot be opened: {reason}") from error
