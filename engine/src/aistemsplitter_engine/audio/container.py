"""Opening a file with FFmpeg, so that a hostile file can only fail.

FFmpeg gets an open file without its name, every attempt to open another file is refused, and only
containers and codecs of audio are allowed: playlists, concatenation scripts, image sequences and
the like can refer to other files and addresses.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard

from aistemsplitter_engine.audio.id3 import without_tags
from aistemsplitter_engine.audio.mp4 import ClaimsTooMuchError, check_index
from aistemsplitter_engine.audio.peek import peek
from aistemsplitter_engine.audio.streams import CODECS, supported_streams
from aistemsplitter_engine.audio.tags import is_picture
from aistemsplitter_engine.errors import AudioError
from aistemsplitter_engine.messages import printable

CONTAINERS = (
    "wav", "w64", "aiff", "caf",
    "flac", "mp3", "aac", "ogg",
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf",
)  # fmt: skip

READABLE = "WAV, FLAC, MP3, Ogg, Opus, AAC/M4A, AIFF, WMA, or a video with audio"

_OPTIONS = {
    "format_whitelist": ",".join(CONTAINERS),
    "codec_whitelist": ",".join(sorted(CODECS)),
    "protocol_whitelist": "none",
    "probesize": "5000000",  # bytes; FFmpeg's defaults, fixed here
    "formatprobesize": "1048576",
    "max_streams": "100",
    "max_probe_packets": "4",  # 256 KiB: enough to recognise DTS in a WAV
    "max_size": "65536",  # bytes of WAV per packet; the default of 4096 is slow
}


class _Nameless:
    """An open file without a name, which FFmpeg would resolve references against."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek; return -1 for invalid positions, which damaged files contain."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def open_file(path: Path, descriptor: int | None = None) -> BinaryIO:
    """Open a regular file, or its descriptor, for reading.

    Raises:
        AudioError: It cannot be opened, is not a regular file, or is empty.
    """
    try:
        found = path.stat() if descriptor is None else os.fstat(descriptor)
        mode = found.st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{printable(path)}: is a folder, not an audio file")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise AudioError(
                f"{printable(path)}: is not a regular file; copy its content into a regular file"
            )
        if found.st_size == 0:
            raise AudioError(f"{printable(path)}: is empty (0 bytes)")
        if descriptor is None:
            return without_tags(path.open("rb", buffering=0))
        os.lseek(descriptor, 0, os.SEEK_SET)
        return without_tags(os.fdopen(os.dup(descriptor), "rb", buffering=0))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise AudioError(f"{printable(path)}: cannot be opened: {reason}") from error


def open_audio(
    path: Path, file: BinaryIO, rank: int = 0
) -> tuple[InputContainer, AudioStream, bool]:
    """Open the container and one of its audio streams; the others are skipped unread.

    Args:
        path: its name, for messages.
        file: its content.
        rank: 0 for the best stream, 1 for the next best, and so on.

    Returns:
        The container, the stream, and whether there is a next best one.

    Raises:
        AudioError: not a container of audio, no audio in it, or a codec that is not supported.
    """
    name = printable(path)
    try:
        check_index(file)
    except ClaimsTooMuchError as error:
        raise AudioError(
            f"{name}: is an MP4 with a damaged index, which claims more data than the file has"
        ) from error
    try:
        container = av.open(
            _Nameless(file),
            "r",
            container_options=_OPTIONS,
            metadata_errors="replace",
            buffer_size=1 << 16,
            io_open=_refuse(name),
        )
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        if peek(file, 4, 4) == b"ftyp":
            raise AudioError(
                f"{name}: is an MP4 whose index is missing or damaged, as at the end of a truncated"
                " one; get a complete copy"
            ) from error
        raise AudioError(
            f"{name}: is not audio that can be read, or is damaged: use {READABLE}"
        ) from error
    try:
        streams = supported_streams(name, container)
        rank = min(rank, len(streams) - 1)
        _select(container, streams[rank])
        return container, streams[rank], rank + 1 < len(streams)
    except BaseException:
        container.close()
        raise


def _select(container: InputContainer, stream: AudioStream) -> None:
    for other in container.streams:
        if other.index != stream.index and not is_picture(other):
            other.discard = Discard.all
    codec = stream.codec_context
    codec.thread_count = 1  # decoding is fast enough without threads
    if codec.name == "flac":
        codec.options = {"err_detect": "crccheck+explode"}


def _refuse(name: str) -> Callable[[str, int, dict[str, str]], NoReturn]:
    def refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:  # noqa: ARG001
        raise PermissionError(f"{name}: refers to another file, which is not followed")

    return refuse
