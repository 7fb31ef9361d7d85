"""Supported inputs and the correctness of the decoded samples."""

import struct

import av
import numpy as np
import pytest

from aistemsplitter_engine.audio import BLOCK_FRAMES, AudioArray, AudioFile
from aistemsplitter_engine.errors import AudioError

STEPS = np.array([[0, 1, -1, 63, -64, 100], [5, -5, 90, -90, 127, -128]])  # unsigned 8-bit


def little_endian(values, size):
    return b"".join(int(v).to_bytes(size, "little", signed=True) for v in values.T.ravel())


@pytest.mark.parametrize("bits", [8, 16, 24, 32, 64])
@pytest.mark.parametrize("extensible", [False, True])
def test_wav_of_integers(tmp_path, make, bits, extensible):
    if bits == 8:
        data = (STEPS + 128).T.astype(np.uint8).tobytes()
    else:
        data = little_endian(STEPS.astype(object) << (bits - 8), bits // 8)
    path = tmp_path / "a.wav"
    path.write_bytes(make.wav_bytes(data, bits=bits, mask=3 if extensible else None))
    file = AudioFile(path)
    assert (file.sample_rate, file.channels, file.frames) == (44100, 2, 6)
    assert np.array_equal(make.read(path), (STEPS / 128).astype(np.float32))


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_wav_of_floats(tmp_path, make, dtype):
    song = make.music(1000) * 3
    path = tmp_path / "a.wav"
    bits = np.dtype(dtype).itemsize * 8
    path.write_bytes(make.wav_bytes(song.T.astype(dtype).tobytes(), bits=bits, tag=3))
    assert np.array_equal(make.read(path), song)


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_nan_and_infinity_become_silence(tmp_path, make, dtype):
    song = np.full((2, 5000), 0.25)
    song[0, :4] = [np.nan, np.inf, -np.inf, 3e38]
    song[1, 4999] = np.nan
    path = tmp_path / "a.wav"
    bits = np.dtype(dtype).itemsize * 8
    path.write_bytes(make.wav_bytes(song.T.astype(dtype).tobytes(), bits=bits, tag=3))
    file = AudioFile(path)
    for _ in range(2):  # a second pass does not warn again
        again = np.concatenate(list(file.blocks()), axis=1)
        assert np.isfinite(again).all()
        assert again[0, :3].tolist() == [0, 0, 0]
        assert again[0, 3] > 1e20
        assert again[1, 4999] == 0
        assert again[1, 0] == 0.25
        assert file.warnings == ["4 samples that are NaN or infinite were replaced by silence"]


def test_huge_doubles_stay_finite(tmp_path, make):
    path = tmp_path / "a.wav"
    data = struct.pack("<4d", 1e300, -1e300, 0.5, 1e-300)
    path.write_bytes(make.wav_bytes(data, bits=64, tag=3, channels=1))
    assert np.isfinite(make.read(path)).all()


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 36])
def test_streamed_wav_without_a_size(tmp_path, make, size):
    song = make.music(10_000)
    data = np.rint(song * 32767).astype("<i2").T.tobytes()
    path = tmp_path / "a.wav"
    path.write_bytes(make.wav_bytes(data, size=size))
    file = AudioFile(path)
    assert file.frames is None
    assert sum(block.shape[1] for block in file.blocks()) == 10_000
    assert file.warnings == []


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 384_000, 768_000])
def test_unusual_rates(tmp_path, make, rate):
    path = tmp_path / "a.wav"
    path.write_bytes(make.wav_bytes(b"\1\0\2\0" * 500, rate=rate))
    file = AudioFile(path)
    assert (file.sample_rate, file.frames) == (rate, 500)


def test_every_format(songs):
    for name, path in songs.items():
        file = AudioFile(path)
        frames = sum(block.shape[1] for block in file.blocks())
        expected = 2 * file.sample_rate + 123
        # Vorbis, WMA, ADTS and fragments, as encoded here, do not store an end within a packet.
        slack = 2048 if name in ("vorbis.ogg", "a.wma", "a.aac", "fragments.mp4") else 0
        slack = 1 if name == "sony.w64" else slack  # FFmpeg's writer counts the padding
        assert abs(frames - expected) <= slack, name
        assert file.warnings == [], name
        assert file.duration == pytest.approx(2.0, abs=0.1), name


def test_one_sample(tmp_path, make):
    path = tmp_path / "click.wav"
    path.write_bytes(make.wav_bytes(b"\x00\x40", channels=1))
    assert make.read(path).tolist() == [[0.5], [0.5]]


def test_blocks_are_bounded_and_full(songs):
    for path in songs.values():
        lengths = [block.shape[1] for block in AudioFile(path).blocks()]
        assert all(length == BLOCK_FRAMES for length in lengths[:-1])
        assert 0 < lengths[-1] <= BLOCK_FRAMES


def video(path, make, container, codec):
    with av.open(str(path), "w", format=container) as output:
        picture = output.add_stream("mpeg4", rate=25)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = output.add_stream(codec, rate=48000)
        sound.codec_context.layout = "stereo"
        song = make.music(48000, rate=48000)
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(
                np.full((64, 64, 3), number * 9, dtype=np.uint8), format="rgb24"
            )
            output.mux(picture.encode(frame.reformat(format="yuv420p")))
        kind = sound.codec_context.format.name
        packed = song if kind.endswith("p") else song.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), kind, "stereo")
        frame.sample_rate = 48000
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
        output.mux(picture.encode(None))
    return path


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("matroska", "aac")])
def test_audio_of_a_video(tmp_path, make, container, codec):
    path = video(tmp_path / "film", make, container, codec)
    file = AudioFile(path)
    assert file.cover is None
    frames = sum(block.shape[1] for block in file.blocks())
    assert abs(frames - 48000) <= 1024


def test_arrays(make):
    song = make.music(BLOCK_FRAMES + 5)
    array = AudioArray(song, 44100)
    assert (array.channels, array.sample_rate, array.name) == (2, 44100, "array")
    for _ in range(2):
        assert np.array_equal(np.concatenate(list(array.blocks()), axis=1), song)
    mono = AudioArray(song[0].astype(np.float64), 8000)
    assert mono.channels == 1
    assert np.array_equal(np.concatenate(list(mono.blocks()), axis=1), song[[0, 0]])
    holed = AudioArray(np.array([np.nan, 1.0]), 8000)
    assert next(holed.blocks()).tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    "samples",
    [np.zeros((3, 5)), np.zeros((2, 0)), np.zeros((1, 2, 3)), np.zeros((2, 5), dtype=np.int16)],
)
def test_wrong_arrays(samples):
    with pytest.raises(AudioError, match="array"):
        AudioArray(samples, 44100)
