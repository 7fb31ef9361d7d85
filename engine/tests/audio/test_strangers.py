"""Files by other programs: wrong pictures, late timestamps, several streams, misplaced tags."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioFile, Cover

RATE = 48_000
SECONDS = 2
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffff")  # and a padding byte
JPEG += bytes.fromhex("c0000b080010001801011100ffda0008010100003f00")
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0" + bytes(13)


def tone(kind, rate):
    """Two seconds of a tone."""
    time = np.arange(SECONDS * rate) / rate
    samples = np.stack([np.sin(2 * np.pi * 440 * time) * 0.3] * 2).astype(np.float32)
    if kind.startswith("s16"):
        samples = np.rint(samples * 32767).astype(np.int16)
    packed = samples if kind.endswith("p") else samples.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), kind, "stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def mux(path, container, *streams, late=0.0, **muxer):
    """Write streams of (codec, sample format, options) with timestamps from ``late`` seconds on."""
    muxer["fflags"] = "+bitexact"
    with av.open(str(path), "w", format=container, container_options=muxer) as output:
        made = []
        for codec, kind, options in streams:
            stream = output.add_stream(codec, rate=RATE)
            context = stream.codec_context
            context.format, context.layout = kind, "stereo"
            context.options = {k: v for k, v in options.items() if k != "language"}
            if "language" in options:
                stream.metadata["language"] = options["language"]
            made.append((stream, tone(kind, RATE)))
        for stream, frame in made:
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                shift = round(late / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                output.mux(packet)
    return path


def length(file):
    return sum(block.shape[1] for block in file.blocks())


def id3(*frames):
    """Return an ID3v2.3 tag of (name, content) pairs."""
    body = b"".join(
        name + struct.pack(">IH", len(content), 0) + content for name, content in frames
    )
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + body


def picture(data, mime=b"image/jpeg", kind=3):
    return b"APIC", b"\0" + mime + b"\0" + bytes([kind]) + b"\0" + data


# Pictures


def with_pictures(songs, path, *pictures):
    path.write_bytes(id3(*pictures) + songs["a.mp3"].read_bytes())
    return AudioFile(path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (WEBP, "is WebP, neither JPEG nor PNG"),
        (b"GIF89a" + bytes(20), "is GIF, neither JPEG nor PNG"),
        (JPEG[:20], "is not a readable JPEG or PNG"),
        (b"<html>404</html>", "is not a readable JPEG or PNG"),
    ],
)
def test_a_picture_of_another_type_than_declared(tmp_path, songs, make, output, data, what):
    """The song is split without it."""
    file = with_pictures(songs, tmp_path / "song.mp3", picture(data))
    assert file.cover is None
    assert file.warnings == [f"the cover picture {what}, so it is not copied"]
    path = tmp_path / f"stem.{output.extension}"
    make.written(path, make.music(5000, rate=RATE), output, RATE, cover=file.cover)


def test_the_next_picture_is_used(tmp_path, songs, make):
    png = make.png_bytes()
    file = with_pictures(songs, tmp_path / "song.mp3", picture(WEBP), picture(png))
    assert file.cover == Cover("image/png", png)
    assert len(file.warnings) == 1


def test_the_front_cover_comes_first(tmp_path, songs, make):
    file = with_pictures(
        songs, tmp_path / "a.mp3", picture(make.png_bytes(), b"image/png", 8), picture(JPEG)
    )
    assert file.cover == Cover("image/jpeg", JPEG)
    assert file.warnings == []


@pytest.mark.parametrize(
    "cover",
    [
        Cover("image/jpeg", WEBP),
        Cover("image/webp", WEBP),
        Cover("image/png", JPEG),
        Cover("image/jpeg", JPEG + bytes(20_000_000)),
    ],
    ids=["webp as jpeg", "webp", "jpeg as png", "20 MB"],
)
def test_a_picture_that_no_format_supports_is_not_written(tmp_path, make, output, cover):
    path = make.written(
        tmp_path / f"stem.{output.extension}",
        make.music(5000, rate=RATE),
        output,
        RATE,
        cover=cover,
    )
    assert AudioFile(path).cover is None


# Timestamps


CLOCKED = {
    "late.opus": ("ogg", ("libopus", "flt", {})),
    "late.ogg": ("ogg", ("vorbis", "fltp", {"strict": "experimental"})),
    "late.oga": ("ogg", ("flac", "s16", {})),
    "late.mka": ("matroska", ("flac", "s16", {})),
    "late.webm": ("webm", ("libopus", "flt", {})),
    "late.wma": ("asf", ("wmav2", "fltp", {"b": "192000"})),
    "late.m4a": ("ipod", ("aac", "fltp", {})),
}


@pytest.mark.parametrize("late", [1.0, 36_000.0])
@pytest.mark.parametrize("name", CLOCKED)
def test_timestamps_that_start_late(tmp_path, name, late):
    """As in a recording that was cut, or a stream that was joined midway."""
    container, stream = CLOCKED[name]
    file = AudioFile(mux(tmp_path / name, container, stream, late=late))
    assert length(file) == pytest.approx(SECONDS * file.sample_rate, abs=2000)
    assert file.duration == pytest.approx(SECONDS, abs=0.1)
    assert file.warnings == []


def test_fragments_of_a_stream_that_was_joined_midway(tmp_path):
    path = mux(tmp_path / "a.mp4", "mp4", ("aac", "fltp", {}), movflags="frag_keyframe+empty_moov")
    data = bytearray(path.read_bytes())
    at = data.index(b"tfdt") + 8
    assert data[at - 4] == 1  # 64 bits
    data[at : at + 8] = (36_000 * RATE).to_bytes(8, "big")
    path.write_bytes(data)
    file = AudioFile(path)
    assert length(file) == pytest.approx(SECONDS * RATE, abs=2000)
    assert file.duration == pytest.approx(SECONDS, abs=0.1)


def test_truncation_after_a_late_start_is_noticed(tmp_path):
    path = mux(tmp_path / "a.mka", "matroska", ("flac", "s16", {}), late=36_000.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    file = AudioFile(path)
    read = length(file)
    assert read < SECONDS * RATE
    assert file.warnings == [
        f"only {read / RATE:.3f} s of the 2.000 s that the file states could be read"
    ]


# Streams


def test_a_stream_that_cannot_be_decoded_is_skipped(tmp_path):
    file = AudioFile(
        mux(
            tmp_path / "film.mkv",
            "matroska",
            ("wavpack", "s16p", {"language": "eng"}),
            ("flac", "s16", {"language": "fre"}),
        )
    )
    assert file.codec == "flac"
    assert length(file) == SECONDS * RATE
    assert file.warnings == [
        "of 2 audio streams, 2 (flac, stereo, fre) was read;"
        " left out: 1 (wavpack, 2 channels, eng, not supported)"
    ]


def test_a_stream_of_garbage_is_skipped(tmp_path):
    """Its codec is supported, but none of its packets decodes to a sample."""
    path = mux(tmp_path / "film.mka", "matroska", ("libmp3lame", "fltp", {}), ("flac", "s16", {}))
    with av.open(str(path)) as file:
        first = [bytes(packet) for packet in file.demux(file.streams.audio[0]) if packet.size]
    data = path.read_bytes()
    for packet in first:
        data = data.replace(packet, bytes(len(packet)))
    path.write_bytes(data)
    song = AudioFile(path)
    assert song.codec == "flac"
    assert length(song) == SECONDS * RATE
    assert len(song.warnings) == 1


def test_skipped_streams_are_named(tmp_path):
    path = mux(tmp_path / "a.mka", "matroska", ("flac", "s16", {}), ("libopus", "flt", {}))
    assert AudioFile(path).warnings == [
        "of 2 audio streams, 1 (flac, stereo) was read; left out: 2 (opus, stereo)"
    ]


# Tags


@pytest.mark.parametrize(
    "name", ["pcm.wav", "rf64.wav", "sony.w64", "a.aiff", "a.caf", "a.m4a", "fragments.mp4",
             "flac.mka", "a.wma", "a.flac", "a.opus"]
)  # fmt: skip
def test_an_mp3_tag_in_front_of_another_container(tmp_path, songs: dict[str, Path], make, name):
    path = tmp_path / name
    tag = id3((b"TIT2", b"\0Title"))
    path.write_bytes(tag + tag + songs[name].read_bytes())
    assert AudioFile(path).frames == AudioFile(songs[name]).frames
    assert np.array_equal(make.read(path), make.read(songs[name]))
