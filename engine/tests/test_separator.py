"""The engine's front, mostly over a runtime that only computes."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Block, Separator
from aistemsplitter_engine.audio import AudioFile, FloatArray
from aistemsplitter_engine.errors import AudioError, Cancelled, OptionError
from fakes import BrokenRuntime, FakeRuntime, music, threads, use_fake
from stem_files import steps

if TYPE_CHECKING:
    from networks import Bag

RATE = 44_100


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeRuntime]:
    """Let all networks be fakes; gives those that were opened."""
    return use_fake(monkeypatch)


@pytest.fixture(scope="module")
def tiny() -> Separator:
    return Separator("htdemucs_tiny", device="cpu", precision="float32")


def joined(blocks: Iterable[Block]) -> dict[str, FloatArray]:
    """Join blocks, which must follow each other, by stem."""
    parts: dict[str, list[FloatArray]] = {}
    at = 0
    for block in blocks:
        assert block.start == at
        (length,) = {stem.shape[1] for stem in block.stems.values()}
        assert length > 0
        at += length
        for name, stem in block.stems.items():
            assert stem.shape == (2, length)
            assert stem.dtype == np.float32
            parts.setdefault(name, []).append(stem)
    return {name: np.concatenate(stems, axis=1) for name, stems in parts.items()}


def song(seconds: float = 5, rate: int = RATE) -> AudioArray:
    return AudioArray(music(seconds), rate)


class Song:
    """A source that counts how often it is read, and may be another one the second time."""

    name, sample_rate, channels = "a song", RATE, 2

    def __init__(self, *passes: FloatArray) -> None:
        self.passes = passes
        self.read = 0

    def blocks(self) -> Iterator[FloatArray]:
        audio = self.passes[min(self.read, len(self.passes) - 1)]
        self.read += 1
        for start in range(0, audio.shape[1], 65_536):
            yield audio[:, start : start + 65_536]


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifts": -1}, "shifts -1 is not between 0 and 100"),
        ({"shifts": 101}, "shifts 101 is not between 0 and 100"),
        ({"overlap": 1.0}, "overlap 1 is not between 0 and 0.99"),
        ({"overlap": -0.01}, "overlap -0.01 is not between 0 and 0.99"),
        ({"overlap": float("nan")}, "overlap nan is not between 0 and 0.99"),
        ({"batch_size": 0}, "batch size 0 is not between 1 and 1024"),
        ({"device": "tpu"}, "device 'tpu' is not one of auto, cpu, cuda, mps"),
        ({"precision": "int8"}, "precision 'int8' is not one of auto, float32, bf16, float16"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Separator("htdemucs_tiny", **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stems": ["voice"]}, "htdemucs_tiny has no stem 'voice'; it has drums, bass, other"),
        ({"stems": []}, "no stem was requested"),
        ({"sample_rate": 999}, "sample rate 999 is not between 1000 and 768000 Hz"),
        ({"sample_rate": 0}, "sample rate 0 is not between"),
        ({"format": "ogg"}, "the format 'ogg' is not one of wav, flac, mp3, opus, m4a"),
        ({"bit_depth": 8}, "wav has a bit depth of 16 or 24 or 32, not 8"),
        ({"clip": "soft"}, "clip 'soft' is not one of rescale, clamp, none"),
    ],
)
def test_options_of_a_song_that_cannot_be(
    fakes: list[FakeRuntime], tmp_path: Path, options: dict[str, object], message: str
) -> None:
    """They are refused at the call, before the song is read or anything is made."""
    separator, source = Separator("htdemucs_tiny"), Song(music(1))
    with pytest.raises(OptionError) as caught:
        separator.split(source, tmp_path / "out", **options)
    assert str(caught.value).startswith(message)
    if not {"format", "bit_depth", "clip"} & options.keys():
        with pytest.raises(OptionError) as caught:
            separator.separate(source, **options)
        assert str(caught.value).startswith(message)
    assert source.read == 0
    assert fakes == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("fakes")
def test_it_says_what_it_has() -> None:
    separator = Separator("htdemucs_tiny")
    assert separator.model == "htdemucs_tiny"
    assert separator.stems == ("drums", "bass", "other", "vocals", "instrumental", "residual")
    assert separator.choose(None) == separator.stems[:4]


def test_nothing_happens_before_a_block_is_asked_for(fakes: list[FakeRuntime]) -> None:
    source = Song(music(1))
    blocks = Separator("htdemucs_tiny").separate(source)
    assert (source.read, fakes) == (0, [])
    next(blocks)
    assert source.read == 2
    blocks.close()
    with pytest.raises(AudioError, match=r"none\.wav: cannot be opened: No such file"):
        Separator("htdemucs_tiny").separate("none.wav")  # but the song is opened at once


# Length, rate and levels


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000, 384_000])
@pytest.mark.parametrize("seconds", [0, 0.9, 4])
@pytest.mark.usefixtures("fakes")
def test_exactly_the_songs_length_at_its_rate(rate: int, channels: int, seconds: float) -> None:
    """And at its place: a fake that only scales gives the song back."""
    frames = int(seconds * rate) + 1
    time = np.arange(frames) / rate
    audio = np.stack([np.sin(2 * np.pi * f * time) for f in (440, 560)])[:channels] * 0.5
    separator = Separator("htdemucs_tiny")
    blocks = list(
        separator.separate(
            AudioArray(audio.astype(np.float32), rate), stems=["residual", *separator.stems[:4]]
        )
    )
    assert {block.sample_rate for block in blocks} == {rate}
    stems = joined(blocks)
    assert {stem.shape for stem in stems.values()} == {(2, frames)}
    assert all(np.isfinite(stem).all() for stem in stems.values())
    if seconds:
        middle = slice(rate // 10, -rate // 10)  # resampled edges ring
        assert np.abs(sum(stems.values()) - audio)[:, middle].max() < 2e-3


@pytest.mark.usefixtures("fakes")
def test_another_rate() -> None:
    stems = joined(Separator("htdemucs_tiny").separate(song(1.5), sample_rate=16_000))
    assert {stem.shape for stem in stems.values()} == {(2, 24_000)}


@pytest.mark.parametrize("frames", [1, 5 * RATE])
def test_silence_stays_silence(tiny: Separator, frames: int) -> None:
    silence = AudioArray(np.zeros((2, frames), np.float32), RATE)
    stems = joined(tiny.separate(silence, stems=tiny.stems))
    assert len(stems) == 6
    assert all(np.array_equal(stem, silence._array) for stem in stems.values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_silence(tiny: Separator, value: float) -> None:
    audio, clean = music(1), music(1)
    audio[0, 1000:2000] = value
    clean[0, 1000:2000] = 0
    got = joined(tiny.separate(AudioArray(audio, RATE)))
    expected = joined(tiny.separate(AudioArray(clean, RATE)))
    assert all(np.array_equal(got[stem], expected[stem]) for stem in expected)


@pytest.mark.parametrize("right", [1, 0, -1])
@pytest.mark.parametrize("level", [1e-30, 1e-4, 1, 1e30, 3e38])
def test_any_level_gives_numbers(tiny: Separator, level: float, right: int) -> None:
    audio = music(1)[:1] * np.array([[1], [right]])
    loud = (audio / np.abs(audio).max() * level).astype(np.float32)
    stems = joined(tiny.separate(AudioArray(loud, RATE), stems=tiny.stems))
    assert all(np.isfinite(stem).all() for stem in stems.values())
    if level == 1 and right == -1:  # as much as of other songs, though its mono mixture is silence
        assert max(np.abs(stem).max() for stem in stems.values()) > 0.1


def test_a_click(tiny: Separator) -> None:
    audio = np.zeros((2, 1), np.float32)
    audio[:, 0] = 0.7, -0.2
    stems = joined(tiny.separate(AudioArray(audio, RATE), stems=tiny.stems))
    assert all(stem.shape == (2, 1) for stem in stems.values())
    assert all(np.isfinite(stem).all() for stem in stems.values())


# Stems


@pytest.mark.usefixtures("fakes")
def test_stems_made_of_the_mixture() -> None:
    separator, source = Separator("htdemucs_tiny", shifts=2, seed=3), song(6)
    stems = joined(separator.separate(source, stems=separator.stems))
    own = sum(stems[stem] for stem in separator.stems[:4])
    assert np.array_equal(stems["instrumental"], source._array - stems["vocals"])
    assert stems["residual"] + own == pytest.approx(source._array, abs=1e-6)
    assert np.abs(stems["residual"]).max() > 0.01


@pytest.mark.parametrize(
    "chosen", [["vocals"], ["instrumental"], ["residual"], ["other", "drums"], ["residual", "bass"]]
)
@pytest.mark.parametrize("model", ["htdemucs_tiny", "htdemucs_ft"])
@pytest.mark.usefixtures("bag", "fakes")
def test_choosing_stems_changes_no_sample(model: str, chosen: list[str]) -> None:
    separator, source = Separator(model, shifts=2, seed=11), song(4)
    every = joined(separator.separate(source, stems=separator.stems))
    some = joined(separator.separate(source, stems=chosen))
    assert list(some) == chosen
    assert all(np.array_equal(some[stem], every[stem]) for stem in chosen)


@pytest.mark.parametrize(
    ("chosen", "networks"), [(["vocals"], 1), (["instrumental"], 1), (["bass", "drums"], 2)]
)
@pytest.mark.usefixtures("bag")
def test_only_networks_that_are_needed_run(
    fakes: list[FakeRuntime], chosen: list[str], networks: int
) -> None:
    joined(Separator("htdemucs_ft").separate(song(4), stems=chosen))
    segments = {fake.calls for fake in fakes}
    assert len(fakes) == networks
    assert segments == {6}  # 4 s in strides of 0.75 s


def test_a_bag_is_model_k_for_stem_k(bag: Bag, fakes: list[FakeRuntime]) -> None:
    source = song(4)
    together = joined(Separator("htdemucs_ft").separate(source))
    assert list(together) == ["drums", "bass", "other", "vocals"]
    for stem, path in zip(together, bag.paths, strict=True):
        alone = joined(Separator(path).separate(source))
        same = [name for name in alone if np.array_equal(alone[name], together[stem])]
        assert same == [stem]
    assert len({fake.gain for fake in fakes}) == 4


@pytest.mark.usefixtures("fakes")
def test_the_seed_decides_the_shifts() -> None:
    source = song(4)

    def vocals(**options: int) -> FloatArray:
        return joined(Separator("htdemucs_tiny", **options).separate(source))["vocals"]

    seeded = vocals(shifts=2, seed=5)
    state = random.getstate()
    assert np.array_equal(vocals(shifts=2, seed=5), seeded)
    assert random.getstate() == state  # whoever uses this module's numbers gets the same ones
    assert not np.array_equal(vocals(shifts=2, seed=6), seeded)
    assert not np.array_equal(vocals(shifts=2), vocals(shifts=2))
    assert np.array_equal(vocals(seed=5), vocals())  # without shifts, there is nothing to draw


# Progress, stopping, errors


@pytest.mark.usefixtures("bag")
def test_progress(fakes: list[FakeRuntime]) -> None:
    told: list[float] = []
    joined(Separator("htdemucs_ft", shifts=2, seed=0).separate(song(5), on_progress=told.append))
    total = sum(fake.calls for fake in fakes)
    assert steps(told) == pytest.approx([done / total for done in range(total + 1)])


def test_cancelled_before_it_begins(fakes: list[FakeRuntime]) -> None:
    cancel, source = threading.Event(), Song(music(1))
    cancel.set()
    with pytest.raises(Cancelled, match="a song: stopped on request"):
        next(Separator("htdemucs_tiny").separate(source, cancel=cancel))
    assert (source.read, fakes) == (1, [])


def test_cancelled_between_two_segments(fakes: list[FakeRuntime]) -> None:
    cancel, told = threading.Event(), []

    def listen(fraction: float) -> None:
        told.append(fraction)
        if fraction > 0.3:
            cancel.set()

    blocks = Separator("htdemucs_tiny").separate(song(60), cancel=cancel, on_progress=listen)
    with pytest.raises(Cancelled):
        joined(blocks)
    assert 0.3 < told[-1] < 0.4
    assert threads() == set()
    assert fakes[0].calls <= 0.4 * 27 + 4  # no more than were on their way


@pytest.mark.usefixtures("fakes")
def test_closing_it_leaves_no_thread() -> None:
    blocks = Separator("htdemucs_tiny").separate(song(60), sample_rate=48_000)
    next(blocks)
    assert threads() != set()
    blocks.close()
    assert threads() == set()


def test_a_network_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake(monkeypatch, BrokenRuntime)
    with pytest.raises(RuntimeError, match="no memory left"):
        joined(Separator("htdemucs_tiny").separate(song(30)))
    assert threads() == set()


ONE = music(6)
LOUDER = ONE.copy()
LOUDER[0, -1] += 0.1


@pytest.mark.parametrize("second", [LOUDER, ONE[:, :-1], ONE[:, :1], np.tile(ONE, 3)])
@pytest.mark.usefixtures("fakes")
def test_a_song_that_changes_between_the_passes(second: FloatArray) -> None:
    with pytest.raises(AudioError, match=r"^a song: changed while it was read; try again$"):
        joined(Separator("htdemucs_tiny").separate(Song(ONE, second)))
    assert threads() == set()


@pytest.mark.usefixtures("fakes")
def test_a_change_is_seen_where_the_song_ends_with_a_segment() -> None:
    """Nothing would be read after its last sample but for that."""
    audio = music(3)
    other = audio.copy()
    other[:, 0] = 0.5
    separator = Separator("htdemucs_tiny", overlap=0)  # whose segments have 3 s
    with pytest.raises(AudioError, match="changed while it was read"):
        joined(separator.separate(Song(audio, other)))


@pytest.mark.usefixtures("fakes")
def test_a_song_without_audio() -> None:
    with pytest.raises(AudioError, match=r"^a song: holds no audio$"):
        next(Separator("htdemucs_tiny").separate(Song(np.zeros((2, 0), np.float32))))


# Threads


def test_threads_may_share_a_separator(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = use_fake(monkeypatch)
    separator, sources = Separator("htdemucs_tiny"), [song(s) for s in (3, 5, 7, 9)]
    together = threading.Barrier(4)

    def separated(source: AudioArray) -> dict[str, FloatArray]:
        together.wait(10)
        return joined(separator.separate(source))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(separated, sources))
    assert len(fakes) == 1
    for source, stems in zip(sources, results, strict=True):
        expected = joined(separator.separate(source))
        assert all(np.array_equal(stems[stem], expected[stem]) for stem in expected)


@pytest.mark.network
def test_threads_may_share_a_real_network(tiny: Separator) -> None:
    sources = [song(3), AudioArray(music(4, seed=1), RATE)]
    expected = [joined(tiny.separate(source)) for source in sources]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda source: joined(tiny.separate(source)), sources))
    for got, want in zip(results, expected, strict=True):
        assert all(np.array_equal(got[stem], want[stem]) for stem in want)


# Real networks


@pytest.mark.network
def test_a_seeded_run_with_skipped_models_is_that_of_demucs(bag: Bag) -> None:
    import reference  # not above: it needs PyTorch, which other tests do not

    audio = music(2.5)
    separator = Separator("htdemucs_ft", device="cpu", precision="float32", shifts=2, seed=4)
    got = joined(separator.separate(AudioArray(audio, RATE), stems=["other", "instrumental"]))
    expected = reference.demucs_separate(bag.models, audio, shifts=2, seed=4)
    assert np.abs(got["other"] - expected[2]).max() < 1e-5
    assert np.abs(got["instrumental"] - (audio - expected[3])).max() < 1e-5


@pytest.mark.network
@pytest.mark.parametrize(("seconds", "overlap", "batch"), [(0.01, 0.25, 1), (2.2, 0.5, 3)])
def test_a_real_network_as_a_stream_equals_the_whole_track(
    bag: Bag, seconds: float, overlap: float, batch: int
) -> None:
    import reference

    audio = music(seconds)
    separator = Separator(
        bag.paths[0], device="cpu", overlap=overlap, batch_size=batch, precision="float32"
    )
    got = np.stack(list(joined(separator.separate(AudioArray(audio, RATE))).values()))
    expected = reference.demucs_separate([bag.models[0]], audio, overlap=overlap)
    assert np.abs(got - expected).max() < 1e-5


def test_the_shipped_model_separates(tiny: Separator, songs: Path) -> None:
    """For real: each stem comes closer to the truth than the mixture is."""
    folder = songs / "heldout1"
    seconds = 6 * RATE

    def excerpt(name: str) -> FloatArray:
        whole = np.concatenate(list(AudioFile(folder / f"{name}.flac").blocks()), axis=1)
        return whole[:, :seconds]

    mixture = excerpt("mixture")
    stems = joined(tiny.separate(AudioArray(mixture, RATE)))
    for name, stem in stems.items():
        truth = excerpt(name)
        assert np.square(truth - stem).sum() < 0.5 * np.square(truth - mixture).sum()


WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
if sys.argv[1] == "missing":
    sys.modules["torch"] = None  # as where it is not installed
import numpy as np
from aistemsplitter_engine import AudioArray, Separator
device = "auto" if sys.argv[1] == "missing" else "cpu"
separator = Separator("htdemucs_tiny", device=device)
blocks = separator.separate(AudioArray(np.zeros((2, 1000), np.float32), 44100))
print(sum(block.stems["vocals"].shape[1] for block in blocks))
print(sorted(name for name, module in sys.modules.items() if name.startswith("torch") and module))
"""


@pytest.mark.parametrize("torch", ["missing", "installed"])
def test_the_processor_needs_no_torch(torch: str) -> None:
    command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, torch]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("1000\n[]\n", "")


# What NumPy gives


def test_numbers_of_numpy(fakes: list[FakeRuntime], tmp_path: Path) -> None:
    """They give the same stems, and a run that can be resumed: its journal is JSON."""
    options = {"shifts": 2, "seed": 7, "overlap": 0.5, "batch_size": 2}
    likewise = {
        "shifts": np.int64(2),
        "seed": np.uint32(7),
        "overlap": np.float32(0.5),
        "batch_size": 2.0,
    }
    audio = music(3).astype(np.float64)
    plain = Separator("htdemucs_tiny", **options).split(
        AudioArray(audio, 48_000), tmp_path / "a", sample_rate=44_100, bit_depth=24
    )
    numpy = Separator("htdemucs_tiny", **likewise).split(
        AudioArray(audio, np.float64(48_000)),
        tmp_path / "b",
        stems=np.array([*plain.stems]),
        sample_rate=np.int64(44_100),
        bit_depth=np.int16(24),
    )
    assert fakes
    for stem, path in plain.stems.items():
        assert numpy.stems[stem].read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifts": 1.5}, "shifts 1.5 is not a whole number"),
        ({"shifts": "2"}, "shifts 2 is not a whole number"),
        ({"seed": np.float64(0.5)}, "seed 0.5 is not a whole number"),
        ({"overlap": "half"}, "overlap 'half' is not a number"),
        ({"batch_size": float("nan")}, "batch size nan is not a whole number"),
    ],
)
def test_options_that_are_no_numbers(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Separator("htdemucs_tiny", **options)
    assert str(caught.value) == message


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("song", "message"),
    [
        (
            np.zeros((2, 10), np.float32),
            "array: its sample rate is missing; use AudioArray(samples, sample_rate)",
        ),
        (5, "a song is a path or an AudioArray, not int"),
        (None, "a song is a path or an AudioArray, not NoneType"),
    ],
)
def test_what_is_no_song(tmp_path: Path, song: Any, message: str) -> None:
    separator = Separator("htdemucs_tiny")
    for call in (separator.separate, lambda song: separator.split(song, tmp_path / "out")):
        with pytest.raises(AudioError) as caught:
            call(song)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((10, 2)), RATE, "audio must be (1 or 2, frames), not (10, 2); transpose it"),
        (np.zeros((3, 10)), RATE, "audio must be (1 or 2, frames), not (3, 10)"),
        (np.zeros(10), 44_100.5, "sample rate 44100.5 is not a whole number"),
        (np.zeros(10), "44100", "sample rate 44100 is not a whole number"),
        (np.zeros(10), np.float32(-1), "a sample rate of -1 Hz is not possible"),
    ],
)
def test_arrays_that_are_no_audio(samples: FloatArray, rate: Any, message: str) -> None:
    with pytest.raises(AudioError) as caught:
        AudioArray(samples, rate)
    assert str(caught.value) == f"array: {message}"


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.float64, np.longdouble])
def test_arrays_of_any_floating_point(dtype: Any) -> None:
    audio = np.linspace(-1, 1, 9).astype(dtype)
    (block,) = AudioArray(audio, RATE).blocks()
    assert block.dtype == np.float32
    assert np.allclose(block[0], np.linspace(-1, 1, 9), atol=1e-3)


def test_a_missing_song_is_named_before_networks_are_loaded(
    fakes: list[FakeRuntime], tmp_path: Path
) -> None:
    with pytest.raises(AudioError, match=r"^typo\.mp3: cannot be opened: No such file"):
        Separator("htdemucs_tiny").split("typo.mp3", tmp_path / "out")
    assert fakes == []
    assert [*tmp_path.iterdir()] == []
