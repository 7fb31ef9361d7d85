"""AudioFile reads what StemWriter writes, with the same length, alignment and tags."""

import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioFile, Cover
from aistemsplitter_engine.formats import OutputFormat

LOSSY = ("mp3", "opus", "m4a")


def lag(reference, other, reach=3000):
    """Return the delay of ``other`` in samples, from the peak of the cross-correlation."""
    size = 1 << (len(reference) + reach).bit_length()
    product = np.fft.rfft(other, size) * np.conj(np.fft.rfft(reference, size))
    correlation = np.fft.irfft(product)
    return int(np.argmax(np.concatenate([correlation[-reach:], correlation[: reach + 1]]))) - reach


@pytest.mark.parametrize("frames", [1, 1151, 50_000, 100_003])
@pytest.mark.parametrize("channels", [1, 2])
def test_length_and_alignment(tmp_path, make, output, frames, channels):
    rate = output.sample_rate(44100)
    song = make.music(frames, channels, rate)
    path = make.written(tmp_path / f"a.{output.extension}", song, output, rate, frames=frames)
    file = AudioFile(path)
    again = np.concatenate(list(file.blocks()), axis=1)
    assert again.shape == (2, frames)
    assert (file.sample_rate, file.channels, file.warnings) == (rate, channels, [])
    if frames > 10_000:
        assert lag(song[0], again[0]) == 0
        error = again[:channels] - song
        # Lossy formats lose some of the noise; a shift would leave far less than 20 dB.
        assert np.sum(song**2) > np.sum(error**2) * (100 if output.name in LOSSY else 10_000)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_lengths_around_packet_boundaries(tmp_path, make, output, rate):
    rate = output.sample_rate(rate)
    for frames in (2, 46, 47, 576, 577, 960, 961, 1024, 1025, 1152, 1153, 2305, 4608, 4609):
        if output.name == "mp3" and rate < 32000 and frames < 47:
            continue  # FFmpeg appends half a packet to audio this short
        path = make.written(tmp_path / "a", make.music(frames), output, rate)
        assert make.read(path).shape == (2, frames)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000, 192000, 384000])
def test_rates(tmp_path, make, output, rate):
    rate = output.sample_rate(rate)
    song = make.music(rate // 4, rate=rate)
    path = make.written(tmp_path / f"a.{output.extension}", song, output, rate)
    file = AudioFile(path)
    assert file.sample_rate == rate
    assert sum(block.shape[1] for block in file.blocks()) == song.shape[1]


@pytest.mark.parametrize(
    ("bits", "name"),
    [(bits, name) for bits in (16, 24) for name in ("wav", "flac", "aiff", "alac")],
)
def test_integers_come_back_bit_for_bit(tmp_path, make, bits, name):
    full = 2 ** (bits - 1)
    rng = np.random.default_rng(1)
    steps = rng.integers(-full, full, (2, 70_000))
    steps[:, :4] = [-full, full - 1, 0, -1]
    song = (steps / full).astype(np.float32)
    path = make.written(tmp_path / f"a.{name}", song, OutputFormat(name, bits))
    assert np.array_equal(make.read(path), song)


def test_float_is_never_clamped(tmp_path, make):
    song = make.music(5000) * 40
    path = make.written(tmp_path / "a.wav", song, OutputFormat("wav", 32))
    assert np.array_equal(make.read(path), song)
    assert np.abs(song).max() > 10


def test_integers_are_rounded_and_clipped_at_full_scale(tmp_path, make):
    song = np.array([[0.6, 1.4, 1.5, 2.5, -0.6, -1.4, 40000, -40000]], dtype=np.float32) / 32768
    path = make.written(tmp_path / "a.wav", song, OutputFormat("wav"))
    expected = [1, 1, 2, 2, -1, -1, 32767, -32768]
    assert (make.read(path)[0] * 32768).tolist() == expected


def test_tags(tmp_path, make, output):
    tags = {"title": "Tränen ✓", "artist": "A", "album": "B", "track": "3", "genre": "Rock"}
    tags |= {"date": "2001", "comment": "c"}
    rate = output.sample_rate(44100)
    path = make.written(
        tmp_path / f"a.{output.extension}", make.music(rate), output, rate, tags=tags
    )
    read = {name.lower(): text for name, text in AudioFile(path).tags.items()}
    assert read == tags


@pytest.mark.parametrize("name", ["flac", "mp3", "opus", "m4a", "alac"])
def test_cover(tmp_path, make, name):
    cover = Cover("image/png", make.png_bytes())
    output = OutputFormat(name)
    rate = output.sample_rate(44100)
    path = make.written(
        tmp_path / f"a.{name}", make.music(rate), output, rate, cover=cover, tags={"title": "T"}
    )
    file = AudioFile(path)
    assert file.cover == cover
    assert {key.lower(): text for key, text in file.tags.items()} == {"title": "T"}
    assert sum(block.shape[1] for block in file.blocks()) == rate


def test_the_same_stem_makes_the_same_file(tmp_path, make, output):
    rate = output.sample_rate(44100)
    song = make.music(20_000)
    one = make.written(tmp_path / f"1.{output.extension}", song, output, rate)
    two = make.written(tmp_path / f"2.{output.extension}", song, output, rate)
    assert one.read_bytes() == two.read_bytes()


def test_every_pass_is_the_same(tmp_path, make):
    path = make.written(tmp_path / "a.mp3", make.music(100_000), OutputFormat("mp3"))
    file = AudioFile(path)
    first, second = file.blocks(), file.blocks()
    for one, two in zip(first, second, strict=True):  # simultaneously
        assert np.array_equal(one, two)
