"""Audio files of many formats, encoded on demand."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioFile, StemWriter
from aistemsplitter_engine.formats import OutputFormat

RATE = 44100
_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}
_SCALES = {"u8": 127, "s16": 2**15 - 1, "s32": 2**31 - 256, "flt": 1, "dbl": 1}


def music(frames, channels=2, rate=RATE, seed=0):
    """Return gliding tones with noise; nothing repeats, so that an offset is noticed."""
    time = np.arange(frames) / rate
    noise = np.random.default_rng(seed).standard_normal((channels, frames)) * 0.02
    tones = [np.sin(2 * np.pi * (220 + 70 * k + 90 * time) * time) * 0.3 for k in range(channels)]
    return (np.stack(tones) + noise).astype(np.float32)


def encoded(path, samples, container, codec, kind, *, rate=RATE, layout="stereo", **options):
    """Encode with FFmpeg; options prefixed with ``m_`` go to the muxer."""
    muxer = {name[2:]: value for name, value in options.items() if name.startswith("m_")}
    muxer["fflags"] = "+bitexact"  # no random serial numbers: the same file every time
    coder = {name: value for name, value in options.items() if not name.startswith("m_")}
    with av.open(str(path), "w", format=container, container_options=muxer) as output:
        stream = output.add_stream(codec, rate=rate)
        context = stream.codec_context
        context.format, context.layout, context.options = kind, layout, coder
        plain = kind.removesuffix("p")
        values = samples * _SCALES[plain] + (128 if plain == "u8" else 0)
        if plain in ("u8", "s16", "s32"):
            values = np.rint(values)
        values = values.astype(_TYPES[plain])
        packed = values if kind.endswith("p") else values.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), kind, layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def wav_bytes(data, *, channels=2, rate=RATE, bits=16, tag=1, mask=None, size=None):
    """Return a WAV with the given header fields; ``mask`` makes it a WAVE_EXTENSIBLE."""
    align = channels * bits // 8
    fields = struct.pack(
        "<HIIHH", channels, rate, min(rate * align, 2**32 - 1), align % 65536, bits
    )
    if mask is None:
        form = struct.pack("<H", tag) + fields
    else:
        guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
        form = struct.pack("<H", 0xFFFE) + fields + struct.pack("<HHI", 22, bits, mask) + guid
    size = len(data) if size is None else size
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", min(len(body), 2**32 - 1)) + body


def caf_bytes(labels, frames=2000):
    """Return a 16-bit CAF whose channels have these Core Audio labels, in this order."""
    channels = len(labels)
    form = struct.pack(">d4sIIIII", RATE, b"lpcm", 0, 2 * channels, 1, channels, 16)
    layout = struct.pack(">III", 0, 0, channels)
    layout += b"".join(struct.pack(">IIfff", label, 0, 0, 0, 0) for label in labels)
    rows = np.stack([np.full(frames, 1000 * (k + 1)) for k in range(channels)])
    data = struct.pack(">I", 0) + rows.T.astype(">i2").tobytes()
    chunks = [(b"desc", form), (b"chan", layout), (b"data", data)]
    body = b"".join(name + struct.pack(">q", len(content)) + content for name, content in chunks)
    return b"caff" + struct.pack(">HH", 1, 0) + body


def png_bytes(size=4):
    """Return a PNG of a red square."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress((b"\0" + b"\xff\0\0" * size) * size))
    return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")


def written(path, samples, output, rate=RATE, **more):
    """Write a file with StemWriter, in blocks of an odd size."""
    with StemWriter(path, output, rate, samples.shape[0], **more) as writer:
        for start in range(0, samples.shape[1], 30_001):
            writer.write(samples[:, start : start + 30_001])
    return path


def read(path):
    """Return the whole file as (2, n)."""
    blocks = list(AudioFile(path).blocks())
    return np.concatenate(blocks, axis=1)


# One small file per container, for the fuzzer and the tests of damaged files.
KINDS = {
    "pcm.wav": ("wav", "pcm_s16le", "s16", {}),
    "float.wav": ("wav", "pcm_f32le", "flt", {}),
    "rf64.wav": ("wav", "pcm_s24le", "s32", {"m_rf64": "always"}),
    "sony.w64": ("w64", "pcm_s16le", "s16", {}),
    "a.aiff": ("aiff", "pcm_s16be", "s16", {}),
    "a.caf": ("caf", "pcm_s16be", "s16", {}),
    "a.flac": ("flac", "flac", "s16", {}),
    "a.mp3": ("mp3", "libmp3lame", "fltp", {}),
    "vorbis.ogg": ("ogg", "vorbis", "fltp", {"strict": "experimental"}),
    "a.opus": ("ogg", "libopus", "flt", {"rate": 48000}),
    "flac.ogg": ("ogg", "flac", "s16", {}),
    "a.m4a": ("ipod", "aac", "fltp", {"m_movflags": "+faststart"}),
    "alac.m4a": ("ipod", "alac", "s16p", {"m_movflags": "+faststart"}),
    "fragments.mp4": ("mp4", "aac", "fltp", {"m_movflags": "frag_keyframe+empty_moov"}),
    "a.aac": ("adts", "aac", "fltp", {}),
    "a.wma": ("asf", "wmav2", "fltp", {"b": "192000"}),
    "flac.mka": ("matroska", "flac", "s16", {}),
    "opus.webm": ("webm", "libopus", "flt", {"rate": 48000}),
}


@pytest.fixture(scope="session")
def make():
    """The functions above."""

    class Make:
        pass

    for function in (music, encoded, wav_bytes, caf_bytes, png_bytes, written, read):
        setattr(Make, function.__name__, staticmethod(function))
    Make.RATE, Make.KINDS = RATE, KINDS
    return Make


@pytest.fixture(scope="session")
def songs(tmp_path_factory) -> dict[str, Path]:
    """Two seconds in each of ``KINDS``, by name."""
    folder = tmp_path_factory.mktemp("songs")
    paths = {}
    for name, (container, codec, kind, options) in KINDS.items():
        rate = options.get("rate", RATE)
        samples = music(2 * rate + 123, rate=rate)
        paths[name] = encoded(folder / name, samples, container, codec, kind, **options)
    return paths


@pytest.fixture(
    params=[
        OutputFormat("wav"),
        OutputFormat("wav", 24),
        OutputFormat("wav", 32),
        OutputFormat("flac"),
        OutputFormat("flac", 24),
        OutputFormat("mp3"),
        OutputFormat("opus"),
        OutputFormat("m4a"),
        OutputFormat("aiff"),
        OutputFormat("aiff", 24),
        OutputFormat("alac"),
        OutputFormat("alac", 24),
    ],
    ids=lambda output: f"{output.name}{output.bit_depth or ''}",
)
def output(request) -> OutputFormat:
    """Each format that stems can be written in."""
    return request.param
