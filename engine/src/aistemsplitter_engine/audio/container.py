"""Opening a file with FFmpeg so that a hostile one can do no more than fail.

FFmpeg gets an open file and never its name, every attempt to open another file is refused, and only
the containers and codecs of audio are let through: playlists, scripts of concatenation, image
sequences and the like can name other files and addresses.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NoReturn

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard

from aistemsplitter_engine.audio._types import printable
from aistemsplitter_engine.audio.mp4 import ClaimsTooMuchError, check_index
from aistemsplitter_engine.audio.peek import peek
from aistemsplitter_engine.audio.tags import is_picture
from aistemsplitter_engine.errors import AudioError

CONTAINERS = (
    "wav", "w64", "aiff", "caf",
    "flac", "mp3", "aac", "ogg",
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf",
)  # fmt: skip

CODECS = frozenset(
    [
        *(f"pcm_{kind}" for kind in ("u8", "s8", "alaw", "mulaw")),
        *(
            f"pcm_{kind}{bits}{order}"
            for kind, widths in (("s", (16, 24, 32, 64)), ("u", (16, 24, 32)), ("f", (32, 64)))
            for bits in widths
            for order in ("le", "be")
        ),
        *("adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt"),
        *("flac", "alac", "mp1float", "mp2float", "mp3float", "mp3", "vorbis", "opus", "aac"),
        *("wmav1", "wmav2", "wmapro", "wmalossless", "ac3", "eac3"),
    ]
)

READABLE = "WAV, FLAC, MP3, Ogg, Opus, AAC/M4A, AIFF, WMA, or a video with sound"

_OPTIONS = {
    "format_whitelist": ",".join(CONTAINERS),
    "codec_whitelist": ",".join(sorted(CODECS)),
    "protocol_whitelist": "none",
    "probesize": "5000000",  # bytes, all of them FFmpeg's own defaults, stated so that they stay
    "formatprobesize": "1048576",
    "max_streams": "100",
    "max_probe_packets": "4",  # 256 KiB: enough to see DTS in a WAV, and quick
    "max_size": "65536",  # bytes of WAV a packet: the default of 4096 costs more calls than work
}

# Copy-protected audio in MP4 goes by these names.
_PROTECTED = {"drms", "enca", "aavd"}


class _Nameless:
    """An open file without its name, which FFmpeg would resolve references against."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere; negative where there is no such place, as damaged files ask for."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1


def open_file(path: Path, descriptor: int | None = None) -> BinaryIO:
    """Open a regular file for reading, or its descriptor; an AudioError says why it cannot be."""
    try:
        found = path.stat() if descriptor is None else os.fstat(descriptor)
        mode = found.st_mode
        if stat.S_ISDIR(mode):
            raise AudioError(f"{printable(path)}: is a folder, not an audio file")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise AudioError(f"{printable(path)}: is not a regular file; copy its content into one")
        if found.st_size == 0:
            raise AudioError(f"{printable(path)}: is empty (0 bytes)")
        if descriptor is None:
            return path.open("rb", buffering=0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return open(os.dup(descriptor), "rb", buffering=0)  # noqa: PTH123  # it has no path
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise AudioError(f"{printable(path)}: cannot be opened: {reason}") from error


def open_audio(path: Path, file: BinaryIO) -> tuple[InputContainer, AudioStream]:
    """Open the container and choose its best audio stream; the others are skipped unread.

    Raises:
        AudioError: not a container of audio, no audio in it, or a codec that is not supported.
    """
    name = printable(path)
    try:
        check_index(file)
    except ClaimsTooMuchError as error:
        raise AudioError(
            f"{name}: is an MP4 with a damaged index, which claims more than the file can hold"
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
        return container, _best_stream(name, container)
    except BaseException:
        container.close()
        raise


def _best_stream(name: str, container: InputContainer) -> AudioStream:
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        if container.streams.audio:
            raise AudioError(
                f"{name}: declares no sample rate, or more channels than the 512 that are possible;"
                " mix it down to stereo first"
            )
        raise AudioError(f"{name}: holds no audio stream")
    codec = stream.codec_context
    if codec is not None and _tag_of(codec) in _PROTECTED:
        raise AudioError(f"{name}: is copy-protected and cannot be decoded")
    if codec is None or codec.name not in CODECS:
        known = f"the codec {codec.name}" if codec is not None else "a codec that is not known"
        raise AudioError(f"{name}: uses {known}, which is not supported; convert it to FLAC or WAV")
    for other in container.streams:
        if other.index != stream.index and not is_picture(other):
            other.discard = Discard.all
    codec.thread_count = 1  # decoding takes little time; threads would only be in the way
    if codec.name == "flac":
        codec.options = {"err_detect": "crccheck+explode"}
    return stream


def _tag_of(codec: AudioCodecContext) -> str:
    try:
        return codec.codec_tag
    except UnicodeDecodeError:  # damaged, which PyAV does not expect
        return ""


def _refuse(name: str) -> Callable[[str, int, dict[str, str]], NoReturn]:
    def refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:  # noqa: ARG001
        raise PermissionError(f"{name}: refers to another file, which is not followed")

    return refuse
