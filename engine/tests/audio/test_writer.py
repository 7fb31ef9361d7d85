"""Formats of stems, and failures while writing."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aistemsplitter_engine.audio import AudioFile, StemWriter
from aistemsplitter_engine.errors import AudioError, OptionError, OutputError
from aistemsplitter_engine.formats import OutputFormat


@pytest.mark.parametrize(
    ("name", "depth", "message"),
    [
        ("ogg", None, "the format 'ogg' is not one of wav, flac, mp3, opus, m4a, aiff, alac"),
        ("mp3", 16, "mp3 has no bit depth; leave it out"),
        ("flac", 32, "flac has a bit depth of 16 or 24, not 32"),
        ("wav", 8, "wav has a bit depth of 16 or 24 or 32, not 8"),
    ],
)
def test_unknown_formats(name, depth, message):
    with pytest.raises(OptionError) as caught:
        OutputFormat(name, depth)
    assert str(caught.value) == message


def test_formats():
    assert OutputFormat() == OutputFormat("wav", 16)
    assert OutputFormat("wav", 32).is_float
    assert not OutputFormat("flac", 24).is_float
    assert OutputFormat("opus").extension == "opus"
    assert OutputFormat("opus").bit_depth is None
    assert OutputFormat("alac").extension == "m4a"


def test_a_length_that_aiff_cannot_hold(tmp_path):
    with pytest.raises(OptionError, match="aiff holds up to 4 GiB"):
        StemWriter(tmp_path / "a.aiff", OutputFormat("aiff", 24), 44100, 2, frames=1 << 30)
    assert not (tmp_path / "a.aiff").exists()


@pytest.mark.parametrize(
    ("name", "rate", "expected"),
    [
        ("wav", 768_000, 768_000),
        ("flac", 384_000, 384_000),
        ("flac", 88_201, 88_200),
        ("flac", 768_000, 655_340),
        ("mp3", 96_000, 48_000),
        ("mp3", 37_800, 44_100),
        ("mp3", 1_000, 8_000),
        ("m4a", 192_000, 96_000),
        ("m4a", 44_100, 44_100),
        ("opus", 44_100, 48_000),
    ],
)
def test_rates_of_formats(tmp_path, make, name, rate, expected):
    output = OutputFormat(name)
    assert output.sample_rate(rate) == expected
    assert output.sample_rate(expected) == expected
    make.written(tmp_path / "a", make.music(1000), output, expected)
    if rate != expected:
        with pytest.raises(OptionError, match=f"{expected} Hz is the nearest"):
            StemWriter(tmp_path / "b", output, rate, 2)
        assert not (tmp_path / "b").exists()


def fill(path, output, blocks, rate=44100, **more):
    with StemWriter(path, output, rate, 2, **more) as writer:
        for block in blocks:
            writer.write(block)


def test_wrong_channels(tmp_path, make):
    with pytest.raises(OptionError):
        StemWriter(tmp_path / "a.wav", OutputFormat(), 44100, 6)
    with pytest.raises(ValueError, match="shape"):
        fill(tmp_path / "a.wav", OutputFormat(), [make.music(10, 1)])
    assert list(tmp_path.iterdir()) == []


def test_an_exception_leaves_nothing(tmp_path, make, output):
    def blocks():
        yield make.music(50_000)
        raise RuntimeError

    path = tmp_path / "a"
    with pytest.raises(RuntimeError):
        fill(path, output, blocks(), rate=output.sample_rate(44100))
    gc.collect()  # a container completes its file when it is garbage collected
    assert not path.exists()


def test_a_wrong_number_of_samples_leaves_nothing(tmp_path, make):
    path = tmp_path / "a.wav"
    with pytest.raises(OutputError, match=r"a\.wav: received 100 of 101 samples"):
        fill(path, OutputFormat(), [make.music(100)], frames=101)
    assert not path.exists()


def test_closing_twice(tmp_path, make):
    path = tmp_path / "a.flac"
    writer = StemWriter(path, OutputFormat("flac"), 44100, 2)
    writer.write(make.music(100))
    writer.close()
    writer.close()
    writer.abort()
    assert make.read(path).shape == (2, 100)


def test_nothing_written_is_an_empty_wav(tmp_path):
    path = tmp_path / "a.wav"
    with StemWriter(path, OutputFormat(), 44100, 2):
        pass
    with pytest.raises(AudioError, match="holds no audio"):
        AudioFile(path)


def test_folders_that_cannot_be_written_to(tmp_path):
    with pytest.raises(OutputError, match=r"a\.wav: cannot be created: No such file or directory"):
        StemWriter(tmp_path / "none" / "a.wav", OutputFormat(), 44100, 2)
    with pytest.raises(OutputError, match=r"cannot be created: Is a directory"):
        StemWriter(tmp_path, OutputFormat(), 44100, 2)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"a\.wav: cannot be created: Permission denied"):
        StemWriter(tmp_path / "a.wav", OutputFormat(), 44100, 2)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_device(make, output):
    blocks = [make.music(50_000)] * 20
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left on device"):
        fill("/dev/full", output, blocks, rate=output.sample_rate(44100))
    assert Path("/dev/full").exists()


FULL_DISK = """
import resource, signal, sys
import numpy as np
from aistemsplitter_engine.audio import StemWriter
from aistemsplitter_engine.formats import OutputFormat
from aistemsplitter_engine.errors import OutputError
path, name, rate, frames, limit = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
song = np.random.default_rng(0).uniform(-0.5, 0.5, (2, frames)).astype(np.float32)
try:
    with StemWriter(path, OutputFormat(name), rate, 2) as writer:
        writer.write(song)
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs limits of processes")
@pytest.mark.parametrize("name", ["wav", "flac", "mp3", "opus", "m4a", "aiff", "alac"])
@pytest.mark.parametrize("limit", [0, 100, 30_000])  # in the header, in close(), between
def test_a_disk_that_fills_up(tmp_path, name, limit):
    path = tmp_path / f"a.{name}"
    rate = OutputFormat(name).sample_rate(44100)
    command = [sys.executable, "-c", FULL_DISK, path, name, rate, 100_000, limit]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.stdout == f"{path}: cannot be written: File too large\n", done.stderr
    assert done.stderr == ""
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "bitrate", "message"),
    [
        ("wav", 320, "wav has no bit rate; leave it out"),
        ("flac", 320, "flac has no bit rate; leave it out"),
        ("opus", 511, "opus has a bit rate of 8 to 510 kbit/s, not 511"),
        ("m4a", 31, "m4a has a bit rate of 32 to 320 kbit/s, not 31"),
        ("m4a", 192.5, "bit rate 192.5 is not a whole number"),
        (
            "mp3",
            300,
            "mp3 has a bit rate of 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256 or 320"
            " kbit/s, not 300",
        ),
    ],
)
def test_bit_rates_that_a_format_does_not_have(name, bitrate, message):
    with pytest.raises(OptionError) as caught:
        OutputFormat(name, bitrate=bitrate)
    assert str(caught.value) == message


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 48_000])
@pytest.mark.parametrize(
    ("name", "bitrate"),
    [("mp3", 32), ("mp3", 320), ("m4a", 32), ("m4a", 320), ("opus", 8), ("opus", 510)],
)
def test_all_bit_rates_can_be_encoded(tmp_path, make, name, bitrate, rate, channels):
    output = OutputFormat(name, bitrate=bitrate)
    rate = output.sample_rate(rate)
    path = make.written(tmp_path / name, make.music(rate)[:channels], output, rate)
    assert make.read(path).shape == (2, rate)


@pytest.mark.parametrize("name", ["mp3", "m4a", "opus"])
def test_the_bit_rate_is_that_of_the_file(tmp_path, make, name):
    """Of a mono file, too; only the default is that of stereo."""
    for channels in (1, 2):
        bits = {}
        for bitrate in (64, 128, None):
            output = OutputFormat(name, bitrate=bitrate)
            path = make.written(
                tmp_path / f"{bitrate}", make.music(192_000)[:channels], output, 48_000
            )
            bits[bitrate] = path.stat().st_size * 8 / 4000  # kbit/s of four seconds
        assert bits[64] == pytest.approx(64, rel=0.2)
        assert bits[128] == pytest.approx(128, rel=0.2)
        assert bits[None] > 80 * channels
