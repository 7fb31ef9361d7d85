"""One clear line of error for each file that cannot be read."""

import os
import struct
from contextlib import suppress

import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioFile
from aistemsplitter_engine.errors import AudioError
from aistemsplitter_engine.formats import OutputFormat


def error_of(path) -> str:
    """Return the error of reading the file to its end, without the folder."""
    with pytest.raises(AudioError) as caught:
        for _ in AudioFile(path).blocks():
            pass
    text = str(caught.value)
    assert text.startswith(str(path)), text
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_missing(tmp_path):
    assert error_of(tmp_path / "a.wav") == "cannot be opened: No such file or directory"


def test_folder(tmp_path):
    assert error_of(tmp_path) == "is a folder, not an audio file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert error_of(tmp_path / "pipe").startswith("is not a regular file")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path, make):
    path = make.written(tmp_path / "a.wav", make.music(100), OutputFormat())
    path.chmod(0)
    assert error_of(path) == "cannot be opened: Permission denied"


def test_empty(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"")
    assert error_of(path) == "is empty (0 bytes)"


@pytest.mark.parametrize(
    "content",
    [
        b"Dear diary,\nthis is no song.\n" * 100,
        b"x",
        b"\0" * 50_000,
        np.random.default_rng(0).bytes(50_000),
        b"%PDF-1.7\n" + bytes(5000),
        b"PK\3\4" + bytes(5000),
    ],
    ids=["text", "one byte", "zeros", "noise", "pdf", "zip"],
)
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a"])
def test_not_audio(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    reason = error_of(path)
    assert reason.startswith(
        ("is not audio that can be read, or is damaged: use WAV", "holds no audio")
    )


def test_a_picture(tmp_path, make):
    path = tmp_path / "cover.png"
    path.write_bytes(make.png_bytes(50))
    assert error_of(path).startswith("is not audio")


def test_no_samples(tmp_path, make):
    path = tmp_path / "a.wav"
    path.write_bytes(make.wav_bytes(b""))
    assert error_of(path) == "holds no audio (0 samples)"


def test_a_name_of_any_bytes(tmp_path):
    path = tmp_path / "a\nb\udcff.wav"
    path.write_bytes(b"text")
    with pytest.raises(AudioError, match=r"a\?b\?\.wav: is not audio"):
        AudioFile(path)


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 2**31 - 1])
def test_absurd_rates(tmp_path, make, rate):
    path = tmp_path / "a.wav"
    path.write_bytes(make.wav_bytes(bytes(4000), rate=rate))
    reason = error_of(path)
    assert "sample rate" in reason or "is not audio" in reason


def test_unsupported_codec(tmp_path, make):
    path = tmp_path / "a.wav"
    path.write_bytes(make.wav_bytes(bytes(4000), tag=0x22))  # TrueSpeech
    assert error_of(path).endswith("is not supported; convert it to FLAC or WAV")


def test_copy_protected(tmp_path, songs):
    path = tmp_path / "bought.m4a"
    content = songs["a.m4a"].read_bytes()
    assert content.count(b"mp4a\0") >= 1
    path.write_bytes(content.replace(b"mp4a\0", b"drms\0"))
    assert error_of(path) == "is copy-protected and cannot be decoded"


# Formats that state their length exactly.
EXACT = ["pcm.wav", "float.wav", "rf64.wav", "sony.w64", "a.aiff", "a.caf", "a.flac", "a.mp3"]


@pytest.mark.parametrize("name", [*EXACT, "a.m4a", "alac.m4a"])
def test_truncated(tmp_path, songs, name):
    content = songs[name].read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: len(content) * 6 // 10])
    reason = error_of(path)
    assert reason.startswith("is truncated: 1."), reason
    assert " s of 2.00" in reason
    assert reason.endswith("s are readable; get a complete copy, or cut it to that length")


@pytest.mark.parametrize("name", ["vorbis.ogg", "a.opus", "flac.ogg", "flac.mka", "opus.webm"])
def test_truncated_where_the_length_is_not_exact(tmp_path, songs, name):
    content = songs[name].read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: len(content) * 6 // 10])
    file = AudioFile(path)
    heard = []
    with suppress(AudioError):
        heard.extend(file.blocks())
        assert "truncated" in file.warnings[0] or "could be read" in file.warnings[0]
    assert sum(block.shape[1] for block in heard) < 1.6 * file.sample_rate


def test_a_truncated_wma(tmp_path, make):
    """FFmpeg takes the length of the remainder for the length of the whole."""
    path = tmp_path / "a.wma"
    make.encoded(path, make.music(4 * make.RATE), "asf", "wmav2", "fltp", b="192000")
    whole = AudioFile(path)
    for _ in whole.blocks():
        pass
    assert whole.warnings == []
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    file = AudioFile(path)
    for _ in file.blocks():
        pass
    (warning,) = file.warnings
    assert warning.startswith("only 1.9")
    assert " of the 4.0" in warning


def test_truncated_before_the_index_of_an_mp4(tmp_path, make):
    path = make.written(tmp_path / "a.m4a", make.music(40_000), OutputFormat("m4a"))
    path.write_bytes(path.read_bytes()[:10_000])
    assert error_of(path).startswith("is an MP4 whose index is missing")


@pytest.mark.parametrize(
    "name", ["a.flac", "a.mp3", "a.opus", "flac.ogg", "a.m4a", "alac.m4a", "a.aac"]
)
def test_damaged_in_the_middle(tmp_path, songs, name):
    content = bytearray(songs[name].read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = np.random.default_rng(3).bytes(3000)
    path = tmp_path / name
    path.write_bytes(content)
    reason = error_of(path)
    assert reason.startswith(("is damaged at 0:0", "is truncated: 0.", "is truncated: 1.")), reason


def test_junk_around_an_mp3(tmp_path, make, songs):
    music = songs["a.mp3"].read_bytes()
    frames = make.read(songs["a.mp3"]).shape[1]
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0x80000000) + bytes(8)
    tails = [b"TAG" + b"x" * 125, ape + b"TAG" + bytes(125), b"\0" * 5000, b"hello" * 500]
    for tail in tails:
        path = tmp_path / "a.mp3"
        path.write_bytes(music + tail)
        # After much junk FFmpeg no longer trusts the end in the gapless tag.
        assert 0 <= make.read(path).shape[1] - frames < (1152 if len(tail) > 1000 else 1)
    path.write_bytes(bytes(2000) + music)
    assert make.read(path).shape[1] >= frames


def test_two_mp3s_in_one(tmp_path, make, songs):
    music = songs["a.mp3"].read_bytes()
    path = tmp_path / "a.mp3"
    path.write_bytes(music + music)
    single = make.read(songs["a.mp3"]).shape[1]
    assert make.read(path).shape[1] == pytest.approx(2 * single, abs=3 * 1152)


def test_two_songs_in_one_ogg(tmp_path, make):
    paths = []
    for number, (channels, layout) in enumerate([(2, "stereo"), (1, "mono")]):
        song = make.music(48000, channels, 48000, seed=number)
        paths.append(
            make.encoded(
                tmp_path / f"{number}.opus",
                song,
                "ogg",
                "libopus",
                "flt",
                rate=48000,
                layout=layout,
            )
        )
    path = tmp_path / "chain.opus"
    path.write_bytes(b"".join(part.read_bytes() for part in paths))
    assert "at 0:01.0" in error_of(path)  # FFmpeg does not go from stereo to mono
    path.write_bytes(paths[0].read_bytes() * 2)
    assert make.read(path).shape[1] == pytest.approx(96000, abs=1000)


def test_a_rate_that_changes(tmp_path, make):
    parts = []
    for rate in (48000, 32000):
        song = make.music(rate, rate=rate)
        part = tmp_path / f"{rate}.aac"
        parts.append(make.encoded(part, song, "adts", "aac", "fltp", rate=rate).read_bytes())
    path = tmp_path / "joined.aac"
    path.write_bytes(b"".join(parts))
    reason = error_of(path)
    assert reason.startswith("changes its sample rate from 48000 to 32000 Hz at 0:01.")
