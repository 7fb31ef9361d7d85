"""The choice among the audio streams of a file."""

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from aistemsplitter_engine.audio.frames import layout_of
from aistemsplitter_engine.errors import AudioError
from aistemsplitter_engine.messages import printable

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

# Codec tags of copy-protected audio in MP4.
_PROTECTED = {"drms", "enca", "aavd"}
_FOR_SOME = (
    Disposition.hearing_impaired,
    Disposition.visual_impaired,
    Disposition.comment,
    Disposition.karaoke,
)


def supported_streams(name: str, container: InputContainer) -> list[AudioStream]:
    """Return the audio streams that can be decoded, the best first.

    The best is FFmpeg's choice if it can be decoded; of the others, those that the file marks as
    default and those with more channels and bits come first.

    Raises:
        AudioError: There is none; the message says why.
    """
    best = container.streams.best("audio")
    supported = sorted(
        (stream for stream in container.streams.audio if not _problem(stream)),
        key=lambda stream: (best is not None and stream.index == best.index, *_quality(stream)),
        reverse=True,
    )
    if supported:
        return supported
    if not container.streams.audio:
        raise AudioError(f"{name}: holds no audio stream")
    first = best if isinstance(best, AudioStream) else container.streams.audio[0]
    raise AudioError(f"{name}: {_problem(first)}")


def passed_over(container: InputContainer, stream: AudioStream) -> str | None:
    """Return a warning about the audio streams that are not read, if there are any."""
    streams = container.streams.audio
    others = [
        f"{number} ({_described(other)})"
        for number, other in enumerate(streams, 1)
        if other.index != stream.index
    ]
    if not others:
        return None
    number = [other.index for other in streams].index(stream.index) + 1
    return (
        f"of {len(streams)} audio streams, {number} ({_described(stream)}) was read;"
        f" left out: {', '.join(others)}"
    )


def _problem(stream: AudioStream) -> str:
    """Return why a stream is not supported, as far as its header shows, or an empty string."""
    codec = stream.codec_context
    if codec is not None and _tag_of(codec) in _PROTECTED:
        return "is copy-protected and cannot be decoded"
    if codec is None or codec.name not in CODECS:
        known = f"the codec {codec.name}" if codec is not None else "an unknown codec"
        return f"uses {known}, which is not supported; convert it to FLAC or WAV"
    if not codec.sample_rate or not layout_of(codec).nb_channels:
        return "declares no sample rate, or more than 512 channels; mix it down to stereo first"
    return ""


def _quality(stream: AudioStream) -> tuple[bool, bool, int, int, int]:
    codec, marks = stream.codec_context, stream.disposition
    return (
        not any(marks & mark for mark in _FOR_SOME),
        bool(marks & Disposition.default),
        layout_of(codec).nb_channels,
        codec.bit_rate or 0,
        -stream.index,
    )


def _described(stream: AudioStream) -> str:
    codec = stream.codec_context
    if codec is None:
        return "unknown codec"
    language = printable(stream.metadata.get("language", ""))[:20]
    words = [codec.name, layout_of(codec).name, language, "not supported" * bool(_problem(stream))]
    return ", ".join(filter(None, words))


def _tag_of(codec: AudioCodecContext) -> str:
    try:
        return codec.codec_tag
    except UnicodeDecodeError:  # damaged, which PyAV does not expect
        return ""
