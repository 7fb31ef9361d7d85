"""Folding of surround sound to stereo."""

import numpy as np
import pytest

from aistemsplitter_engine.audio import AudioFile
from aistemsplitter_engine.audio.downmix import HALF, fold_matrix
from aistemsplitter_engine.errors import AudioError

SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR")


def test_surround():
    expected = [[1, 0, HALF, 0, HALF, 0], [0, 1, HALF, 0, 0, HALF]]
    assert np.allclose(fold_matrix(SURROUND), expected)
    side = ("FL", "FR", "FC", "LFE", "SL", "SR")
    assert np.allclose(fold_matrix(side), expected)


def test_order_of_channels_does_not_matter():
    matrix = fold_matrix(("FC", "FR", "FL"))
    assert np.allclose(matrix, [[HALF, 0, 1], [HALF, 1, 0]])


def test_unknown_positions():
    assert np.array_equal(fold_matrix(("NONE",)), [[1], [1]])
    assert np.array_equal(fold_matrix(("NONE",) * 6), fold_matrix(SURROUND))
    assert fold_matrix(("NONE",) * 9) is None
    assert np.allclose(fold_matrix(("FL", "FR", "UNK")), [[1, 0, HALF], [0, 1, HALF]])


def test_ambisonics_is_not_a_set_of_loudspeakers():
    matrix = fold_matrix(("AMBI0", "AMBI1", "AMBI2", "AMBI3"))
    assert np.allclose(matrix, [[0.5, 0.5, 0, 0], [0.5, -0.5, 0, 0]])


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("mask", [None, 0x3F])
def test_six_channels_in_a_wav(tmp_path, make, bits, mask):
    rows = np.arange(1, 7)[:, None] * np.full((1, 100), 0.05)
    dtype, full, tag = ("<i2", 32768, 1) if bits == 16 else ("<f4", 1, 3)
    values = rows * full
    values = np.rint(values) if bits == 16 else values
    path = tmp_path / "a.wav"
    data = values.T.astype(dtype).tobytes()
    path.write_bytes(make.wav_bytes(data, channels=6, bits=bits, tag=tag, mask=mask))
    assert AudioFile(path).channels == 6
    left = 0.05 * (1 + HALF * 3 + HALF * 5)
    right = 0.05 * (2 + HALF * 3 + HALF * 6)
    assert np.allclose(make.read(path)[:, 50], [left, right], atol=1e-4)


@pytest.mark.parametrize(
    ("codec", "container", "kind"),
    [("flac", "flac", "s16"), ("aac", "mp4", "fltp"), ("libopus", "ogg", "flt")],
)
@pytest.mark.parametrize("layout", ["5.1", "7.1"])
def test_surround_of_other_codecs(tmp_path, make, codec, container, kind, layout):
    if kind == "fltp" and layout == "7.1":
        pytest.skip("PyAV makes no frames of eight planes")
    channels = {"5.1": 6, "7.1": 8}[layout]
    song = np.zeros((channels, 48000), dtype=np.float32)
    song[2] = make.music(48000, 1, 48000)[0]  # the centre alone
    path = make.encoded(tmp_path / "a", song, container, codec, kind, rate=48000, layout=layout)
    assert AudioFile(path).channels == channels
    again = make.read(path)
    assert np.array_equal(again[0], again[1])
    assert np.std(again[0]) == pytest.approx(HALF * np.std(song[2]), rel=0.03)


@pytest.mark.parametrize(
    ("channels", "message"),
    [(9, "has 9 channels .*"), (24, "has 24 channels .*"), (600, ".* more than 512 channels; ")],
)
def test_too_many_channels(tmp_path, make, channels, message):
    path = tmp_path / "many.wav"
    path.write_bytes(make.wav_bytes(bytes(2 * channels * 100), channels=channels))
    with pytest.raises(AudioError, match=f"many.wav: {message}mix it down to stereo first"):
        AudioFile(path)


@pytest.mark.parametrize(
    ("labels", "left", "right"),
    [
        ([1, 2], 1000, 2000),
        ([2, 1], 2000, 1000),
        ([3, 1, 2], 2000 + HALF * 1000, 3000 + HALF * 1000),
        ([1, 1, 1], 6000, 0),
    ],
)
def test_channels_in_a_custom_order(tmp_path, make, labels, left, right):
    """PyAV would free the memory of such layouts twice and so crash the process."""
    path = tmp_path / "a.caf"
    path.write_bytes(make.caf_bytes(labels))
    for _ in range(20):
        next(AudioFile(path).blocks())  # does not decode further
        again = make.read(path) * 32768
    assert np.allclose(again[:, -1], [left, right], atol=0.1)
